package com.example.ticker;

import io.grpc.Attributes;
import io.grpc.EquivalentAddressGroup;
import io.grpc.NameResolver;
import io.grpc.NameResolverProvider;
import io.grpc.Status;
import io.grpc.StatusOr;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.List;

/** Resolves {@code replicas:///} to the addresses of all endpoints. */
final class Replicas extends NameResolverProvider {
  private final List<String> endpoints;

  Replicas(List<String> endpoints) {
    this.endpoints = endpoints;
  }

  @Override
  public String getDefaultScheme() {
    return "replicas";
  }

  @Override
  protected boolean isAvailable() {
    return true;
  }

  @Override
  protected int priority() {
    return 5;
  }

  @Override
  public NameResolver newNameResolver(URI target, NameResolver.Args args) {
    return new NameResolver() {
      private Listener2 listener;

      @Override
      public String getServiceAuthority() {
        return endpoints.get(0);
      }

      @Override
      public void start(Listener2 listener) {
        this.listener = listener;
        refresh();
      }

      @Override
      public void refresh() {
        args.getOffloadExecutor().execute(() -> listener.onResult(resolve()));
      }

      @Override
      public void shutdown() {}
    };
  }

  private NameResolver.ResolutionResult resolve() {
    List<EquivalentAddressGroup> addresses = new ArrayList<>();
    Status failure = Status.OK;
    for (String endpoint : endpoints) {
      int colon = endpoint.lastIndexOf(':');
      int port = Integer.parseInt(endpoint.substring(colon + 1));
      // With TLS, the certificate of a replica must have the name of its own endpoint.
      Attributes name =
          Attributes.newBuilder()
              .set(EquivalentAddressGroup.ATTR_AUTHORITY_OVERRIDE, endpoint)
              .build();
      try {
        for (InetAddress host : InetAddress.getAllByName(endpoint.substring(0, colon))) {
          addresses.add(new EquivalentAddressGroup(new InetSocketAddress(host, port), name));
        }
      } catch (UnknownHostException e) {
        failure = Status.UNAVAILABLE.withDescription("unknown host in " + endpoint).withCause(e);
      }
    }
    return NameResolver.ResolutionResult.newBuilder()
        .setAddressesOrError(
            addresses.isEmpty() ? StatusOr.fromStatus(failure) : StatusOr.fromValue(addresses))
        .build();
  }
}
