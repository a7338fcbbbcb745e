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
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Executor;

/** Makes channels to the replicas: in plain text, or with TLS and a token in each call. */
final class Channels {
  private final List<String> endpoints;
  private final ChannelCredentials credentials;
  private final TokenFile tokenFile;

  Channels(Options options) throws IOException {
    endpoints = options.endpoints();
    tokenFile = options.tokenFile() == null ? null : new TokenFile(options.tokenFile());
    credentials = credentials(options.tlsCa(), tokenFile);
  }

  /** A channel that balances unary calls over all endpoints, as the service config says. */
  ManagedChannel toAll() throws IOException {
    NameResolverRegistry resolvers = new NameResolverRegistry();
    resolvers.register(new Replicas(endpoints));
    return withKeepAlive(Grpc.newChannelBuilder("replicas:///", credentials, resolvers))
        .defaultServiceConfig(serviceConfig())
        .build();
  }

  /**
   * A channel for one stream. It has no service config: a stream must fail at once, and not wait,
   * when its endpoint is down.
   */
  ManagedChannel to(String endpoint) {
    return withKeepAlive(Grpc.newChannelBuilder(endpoint, credentials)).build();
  }

  /** Whether a call would send another token than the last one did. */
  boolean hasFreshToken() throws IOException {
    return tokenFile != null && !tokenFile.read().equals(tokenFile.sent);
  }

  private static ManagedChannelBuilder<?> withKeepAlive(ManagedChannelBuilder<?> builder) {
    return builder.keepAliveTime(10, SECONDS).keepAliveTimeout(5, SECONDS);
  }

  private static Map<String, ?> serviceConfig() throws IOException {
    try (InputStream json = Channels.class.getResourceAsStream("/service-config.json")) {
      return new Gson()
          .fromJson(new InputStreamReader(json, UTF_8), new TypeToken<Map<String, ?>>() {});
    }
  }

  private static ChannelCredentials credentials(Path ca, TokenFile token) throws IOException {
    if (ca == null) {
      return InsecureChannelCredentials.create();
    }
    ChannelCredentials tls = TlsChannelCredentials.newBuilder().trustManager(ca.toFile()).build();
    return token == null ? tls : CompositeChannelCredentials.create(tls, token);
  }

  /** Sends the token that is in a file at the time of the call. */
  private static final class TokenFile extends CallCredentials {
    private static final Metadata.Key<String> AUTHORIZATION =
        Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

    private final Path file;
    private volatile String sent;

    TokenFile(Path file) {
      this.file = file;
    }

    @Override
    public void applyRequestMetadata(RequestInfo call, Executor executor, MetadataApplier applier) {
      executor.execute(
          () -> {
            try {
              sent = read();
              Metadata headers = new Metadata();
              headers.put(AUTHORIZATION, "Bearer " + sent);
              applier.apply(headers);
            } catch (IOException e) {
              applier.fail(Status.UNAUTHENTICATED.withDescription("no token").withCause(e));
            }
          });
    }

    private String read() throws IOException {
      return Files.readString(file).strip();
    }
  }
}
