// Channels: keepalive, the service config, TLS and tokens.

import { readFileSync } from "node:fs";
import { type ChannelCredentials, credentials, experimental, Metadata } from "@grpc/grpc-js";
import { TickerStreamServiceClient } from "./generated/ticker/v1/ticker.js";

/** One channel over all endpoints. */
export function connect(endpoints: string[], credentials: ChannelCredentials): TickerStreamServiceClient {
  return new TickerStreamServiceClient(`replicas:${endpoints.join(",")}`, credentials, {
    "grpc.keepalive_time_ms": 10_000,
    "grpc.keepalive_timeout_ms": 5_000,
    // The default is two minutes.
    "grpc.max_reconnect_backoff_ms": 1_000,
    // Otherwise channels with equal options share a connection, dead or alive.
    "grpc.use_local_subchannel_pool": 1,
    // Otherwise the proxy in the environment, if any, is asked to connect.
    "grpc.enable_http_proxy": 0,
    "grpc.service_config": readFileSync(new URL("service-config.json", import.meta.url), "utf8"),
  });
}

/** Plain text without a CA; with one, TLS, and the token of each call if there is one. */
export function createCredentials(caFile?: string, tokenFile?: string): ChannelCredentials {
  if (caFile === undefined) {
    if (tokenFile !== undefined) throw new Error("--token-file needs --tls-ca: a token is not sent in plain text");
    return credentials.createInsecure();
  }
  const tls = credentials.createSsl(readFileSync(caFile));
  if (tokenFile === undefined) return tls;
  // The file is read again for each call, so that a fresh token is used as soon as it is there.
  const token = credentials.createFromMetadataGenerator((_call, callback) => {
    const metadata = new Metadata();
    metadata.set("authorization", `Bearer ${readFileSync(tokenFile, "utf8").trim()}`);
    callback(null, metadata);
  });
  return credentials.combineChannelCredentials(tls, token);
}

/** Resolves `replicas:` to all endpoints, which no resolver of grpc-js does. Node.js looks up their names for each connection. */
class Replicas implements experimental.Resolver {
  private isResolved = false;

  constructor(
    private readonly target: experimental.GrpcUri,
    private readonly listener: experimental.ResolverListener,
  ) {}

  updateResolution(): void {
    if (this.isResolved) return;
    this.isResolved = true;
    const endpoints = this.target.path.split(",").map((endpoint) => {
      const { host, port } = experimental.splitHostPort(endpoint)!;
      return { addresses: [{ host, port: port! }] };
    });
    process.nextTick(this.listener, experimental.statusOrFromValue(endpoints), {}, null, "");
  }

  destroy(): void {
    this.isResolved = false;
  }

  /** The name that the certificate of every replica is checked against. */
  static getDefaultAuthority(target: experimental.GrpcUri): string {
    return target.path.split(",", 1)[0]!;
  }
}

experimental.registerResolver("replicas", Replicas);
