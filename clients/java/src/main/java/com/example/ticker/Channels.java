package com.example.ticker;

import static java.nio.charset.StandardCharsets.UTF_8;
import static java.util.concurrent.TimeUnit.SECONDS;

import com.google.gson.Gson;
import com.google.gson.reflect.TypeToken;
import io.grpc.CallCredentials;
import io.grpc.ChannelCredentials;
import io.grpc.CompositeChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.NameResolverRegistry;
import io.grpc.Status;
import io.grpc.TlsChannelCredentials;
import java.io.File;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.util.List;
import java.util.concurrent.Executor;
import picocli.CommandLine.Option;

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

  /** A channel for one stream, whose calls fail at once when its endpoint is down. */
  ManagedChannel to(String endpoint) throws IOException {
    return channel(endpoint).build();
  }

  private ManagedChannelBuilder<?> channel(String target) throws IOException {
    return Grpc.newChannelBuilder(target, credentials())
        .keepAliveTime(10, SECONDS)
        .keepAliveTimeout(5, SECONDS);
  }

  private ChannelCredentials credentials() throws IOException {
    if (tlsCa == null) {
      return InsecureChannelCredentials.create();
    }
    var tls = TlsChannelCredentials.newBuilder().trustManager(tlsCa).build();
    return tokenFile == null ? tls : CompositeChannelCredentials.create(tls, new TokenFile());
  }

  /** Sends with each call the token that the file has now. */
  private final class TokenFile extends CallCredentials {
    @Override
    public void applyRequestMetadata(RequestInfo call, Executor executor, MetadataApplier applier) {
      // Reading a file may take a while, which this thread must not.
      executor.execute(() -> {
        Metadata headers = new Metadata();
        try {
          headers.put(AUTHORIZATION, "Bearer " + Files.readString(tokenFile.toPath()).strip());
          applier.apply(headers);
        } catch (IOException e) {
          applier.fail(Status.UNAUTHENTICATED.withDescription("cannot read " + tokenFile));
        }
      });
    }
  }
}
