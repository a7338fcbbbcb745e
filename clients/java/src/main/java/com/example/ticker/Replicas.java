package com.example.ticker;

import io.grpc.Attributes;
import io.grpc.EquivalentAddressGroup;
import io.grpc.NameResolver;
import io.grpc.NameResolverProvider;
import io.grpc.StatusOr;
import java.net.InetSocketAddress;
import java.net.URI;
import java.util.List;

/** Resolves {@code replicas:///} to all endpoints. */
final class Replicas extends NameResolverProvider {
  private final List<String> endpoints;

  Replicas(List<String> endpoints) {
    this.endpoints = endpoints;
  }

  @Override
  public NameResolver newNameResolver(URI target, NameResolver.Args args) {
    var addresses = StatusOr.fromValue(endpoints.stream().map(Replicas::address).toList());
    return new NameResolver() {
      @Override
      public void start(Listener2 listener) {
        listener.onResult(ResolutionResult.newBuilder().setAddressesOrError(addresses).build());
      }

      @Override
      public String getServiceAuthority() {
        return endpoints.get(0);
      }

      @Override
      public void shutdown() {}
    };
  }

  private static EquivalentAddressGroup address(String endpoint) {
    int colon = endpoint.lastIndexOf(':');
    int port = Integer.parseInt(endpoint.substring(colon + 1));
    // With TLS, the certificate of a replica must have the name of its own endpoint.
    var attribute = EquivalentAddressGroup.ATTR_AUTHORITY_OVERRIDE;
    return new EquivalentAddressGroup(
        new InetSocketAddress(endpoint.substring(0, colon), port),
        Attributes.newBuilder().set(attribute, endpoint).build());
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
}
