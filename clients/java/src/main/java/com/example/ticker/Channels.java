package com.example.ticker;

import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.concurrent.TimeUnit.SECONDS;

import com.google.gson.Gson;
import com.google.gson.reflect.TypeToken;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.NameResolverRegistry;
import io.grpc.TlsChannelCredentials;
import io.grpc.stub.MetadataUtils;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.util.List;
import picocli.CommandLine.Option;
import ticker.v1.TickerStreamServiceGrpc;
import ticker.v1.TickerStreamServiceGrpc.TickerStreamServiceBlockingV2Stub;

/** Connects to the replicas: in plain text, or with TLS and a token in each call. */
final class Channels {
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  @Option(names = "--endpoints", split = ",", defaultValue = "127.0.0.1:50051")
  List<String> endpoints;

  @Option(names = "--tls-ca")
  File tlsCa;

  @Option(names = "--token-file")
  File tokenFile;

  /** A channel that balances unary calls over all endpoints, as the service config says. */
  ManagedChannel toAll() throws IOException {
    NameResolverRegistry.getDefaultRegistry().register(new Replicas(endpoints));
    var json = new InputStreamReader(getClass().getResourceAsStream("/service-config.json"), UTF_8);
    return channel("replicas:///")
        .defaultServiceConfig(new Gson().fromJson(json, new TypeToken<>() {}))
        .build();
  }

  /** A channel for one stream, which fails at once when its endpoint is down. */
  ManagedChannel to(String endpoint) throws IOException {
    return channel(endpoint).build();
  }

  private ManagedChannelBuilder<?> channel(String target) throws IOException {
    var credentials = tlsCa == null
        ? InsecureChannelCredentials.create()
        : TlsChannelCredentials.newBuilder().trustManager(tlsCa).build();
    return Grpc.newChannelBuilder(target, credentials)
        .keepAliveTime(10, SECONDS)
        .keepAliveTimeout(5, SECONDS);
  }

  /** A stub for one call, which sends the token that the file has now. */
  TickerStreamServiceBlockingV2Stub stub(ManagedChannel channel) throws IOException {
    Metadata headers = new Metadata();
    if (tokenFile != null) {
      headers.put(AUTHORIZATION, "Bearer " + Files.readString(tokenFile.toPath()).strip());
    }
    return TickerStreamServiceGrpc.newBlockingV2Stub(channel)
        .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(headers));
  }
}
