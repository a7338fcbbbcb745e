// Channels: keepalive, the service config, TLS and tokens.

import { readFileSync } from "node:fs";
import { type CallCredentials, type ChannelCredentials, type ChannelOptions, credentials, Metadata } from "@grpc/grpc-js";
import { TickerStreamServiceClient } from "./generated/ticker/v1/ticker.js";
import { replicas } from "./replicas.js";

const OPTIONS: ChannelOptions = {
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.initial_reconnect_backoff_ms": 100,
  // The default is two minutes.
  "grpc.max_reconnect_backoff_ms": 1_000,
  // The default, 30 seconds, keeps a channel at the addresses of replicas that have moved.
  "grpc.dns_min_time_between_resolutions_ms": 1_000,
  // Otherwise a TXT record of the name replaces the service config.
  "grpc.service_config_disable_resolution": 1,
  // Otherwise the proxy in the environment, if any, is asked to connect.
  "grpc.enable_http_proxy": 0,
};

/** One channel over all endpoints, for unary calls. */
export function connectToAll(endpoints: string[], credentials: ChannelCredentials): TickerStreamServiceClient {
  return new TickerStreamServiceClient(replicas(endpoints), credentials, {
    ...OPTIONS,
    "grpc.service_config": readFileSync(new URL("service-config.json", import.meta.url), "utf8"),
  });
}

/** A channel to one endpoint, for a stream. */
export function connectTo(endpoint: string, credentials: ChannelCredentials): TickerStreamServiceClient {
  return new TickerStreamServiceClient(`dns:${endpoint}`, credentials, {
    ...OPTIONS,
    // Otherwise channels with equal options share a connection, dead or alive.
    "grpc.use_local_subchannel_pool": 1,
  });
}

/** A file with a token. It is read again for each call, so that a fresh token is used as soon as it is there. */
export class TokenFile {
  #sent = "";

  constructor(readonly path: string) {}

  /** Whether the next call would send another token than the last one did. */
  get isRenewed(): boolean {
    return this.#read() !== this.#sent;
  }

  get credentials(): CallCredentials {
    return credentials.createFromMetadataGenerator((_call, callback) => {
      try {
        this.#sent = this.#read();
      } catch (error) {
        return callback(error as Error);
      }
      const metadata = new Metadata();
      metadata.set("authorization", `Bearer ${this.#sent}`);
      callback(null, metadata);
    });
  }

  #read(): string {
    return readFileSync(this.path, "utf8").trim();
  }
}

/** Plain text without a CA; with one, TLS, and the token of each call if there is one. */
export function createCredentials(caFile: string | undefined, token: TokenFile | undefined): ChannelCredentials {
  if (caFile === undefined) {
    if (token !== undefined) throw new Error("--token-file needs --tls-ca: a token is not sent in plain text");
    return credentials.createInsecure();
  }
  const tls = credentials.createSsl(readFileSync(caFile));
  if (token === undefined) return tls;
  readFileSync(token.path);
  return credentials.combineChannelCredentials(tls, token.credentials);
}
