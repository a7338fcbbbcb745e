// The replicas of the service: one client each, and calls that go on at the next replica when one fails.

import { type Client, Code, ConnectError, createClient, type Interceptor } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { TickerStreamService } from "./gen/ticker/v1/ticker_pb";
import type { Rotation } from "./rotation";

export type TickerClient = Client<typeof TickerStreamService>;

/** How long an answer to a call may take. */
const CALL_TIMEOUT = 20_000;

/** Statuses that another replica, or the same one later, may not answer with. */
export function isRetryable(error: ConnectError): boolean {
  switch (error.code) {
    case Code.InvalidArgument:
    case Code.NotFound:
    case Code.PermissionDenied:
    case Code.Unauthenticated:
    case Code.Unimplemented:
    case Code.FailedPrecondition:
    case Code.OutOfRange:
    case Code.AlreadyExists:
      return false;
    default:
      return true;
  }
}

export class Replicas {
  token: string | undefined;

  private readonly clients = new Map<string, TickerClient>();

  constructor(
    readonly rotation: Rotation,
    /** A call was refused for want of a token. */
    private readonly onUnauthenticated: (message: string) => void,
  ) {}

  client(endpoint: string): TickerClient {
    let client = this.clients.get(endpoint);
    if (!client) {
      const authorize: Interceptor = (next) => (request) => {
        if (this.token !== undefined) request.header.set("authorization", `Bearer ${this.token}`);
        return next(request);
      };
      client = createClient(TickerStreamService, createGrpcWebTransport({ baseUrl: endpoint, interceptors: [authorize] }));
      this.clients.set(endpoint, client);
    }
    return client;
  }

  /** Makes a call at the replica of the stream, then at the others. */
  async call<T>(
    make: (client: TickerClient, options: { signal: AbortSignal; timeoutMs: number }) => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const { endpoints, current } = this.rotation;
    const others = endpoints.filter((endpoint) => endpoint !== current && !this.rotation.isForeign(endpoint));
    let failure: ConnectError | undefined;
    for (const endpoint of [current, ...others]) {
      try {
        return await make(this.client(endpoint), { signal, timeoutMs: CALL_TIMEOUT });
      } catch (error) {
        failure = ConnectError.from(error);
        if (signal.aborted) throw failure;
        if (failure.code === Code.Unauthenticated) this.onUnauthenticated(failure.rawMessage);
        if (!isRetryable(failure)) throw failure;
      }
    }
    throw failure!;
  }
}
