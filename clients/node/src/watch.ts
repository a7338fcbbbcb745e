// A watch of every tick that fails over between endpoints: each tick comes once and in order.

import { addAbortSignal } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { type ChannelCredentials, connectivityState, type ServiceError, status } from "@grpc/grpc-js";
import { connectTo, type TokenFile } from "./connect.js";
import {
  Delivery,
  Detail,
  type SubscriptionResult,
  type SymbolStatus,
  SymbolStatusCode,
  type TickerStreamServiceClient,
  WatchRequest,
  type WatchResponse,
} from "./generated/ticker/v1/ticker.js";

type Message = NonNullable<WatchResponse["event"]>;

/** What a watch reports. */
export type WatchEvent =
  | Extract<Message, { $case: "tick" | "gap" | "caughtUp" }>
  | { $case: "connected"; value: { endpoint: string; tapeId: string } }
  | { $case: "refused"; value: SymbolStatus }
  | { $case: "disconnected"; value: { endpoint: string; reason: string } };

// In milliseconds. The server sends a heartbeat every 5 seconds.
const CONNECT_TIMEOUT = 3_000;
const SILENCE_TIMEOUT = 15_000;

const RETRYABLE = new Set([
  status.CANCELLED,
  status.UNKNOWN,
  status.DEADLINE_EXCEEDED,
  status.RESOURCE_EXHAUSTED,
  status.ABORTED,
  status.INTERNAL,
  status.UNAVAILABLE,
]);

/** Why the client leaves a stream that may be resumed. */
class Left extends Error {}
const FOREIGN_TAPE = new Left("the replica plays another tape");
const DRAINING = new Left("the replica is about to stop");
const TOKEN_EXPIRING = new Left("the token expires soon");

export class Watcher {
  readonly #endpoints: string[];
  readonly #symbols: string[];
  readonly #credentials: ChannelCredentials;
  readonly #token: TokenFile | undefined;
  readonly #clients = new Map<string, TickerStreamServiceClient>();

  // What a resume needs: the tape, and the last sequence of each symbol.
  #tapeId = "";
  readonly #last = new Map<string, bigint>();

  readonly #refused = new Set<string>();
  /** Streams that were opened since the last tick. */
  #attempts = 0;

  constructor(endpoints: string[], symbols: string[], credentials: ChannelCredentials, token?: TokenFile) {
    this.#token = token;
    this.#endpoints = endpoints;
    this.#symbols = symbols;
    this.#credentials = credentials;
  }

  /** Watches until `signal` is aborted. Throws when no endpoint can go on. */
  async *run(signal: AbortSignal): AsyncGenerator<WatchEvent> {
    let foreign = 0;
    try {
      for (let at = 0; ;) {
        const endpoint = this.#endpoints[at]!;
        this.#attempts += 1;
        const error = yield* this.#follow(endpoint, signal);
        if (signal.aborted) return;
        if (!isRetryable(error)) throw error;
        yield { $case: "disconnected", value: { endpoint, reason: describe(error) } };

        foreign = error === FOREIGN_TAPE ? foreign + 1 : 0;
        if (foreign === this.#endpoints.length) throw new Error(`no endpoint plays the tape ${this.#tapeId} any more`);
        if (error !== TOKEN_EXPIRING) at = (at + 1) % this.#endpoints.length;
        // Each endpoint is tried once without a wait.
        const extra = this.#attempts - this.#endpoints.length;
        if (extra >= 0) await sleep(backoff(extra), undefined, { signal }).catch(() => {});
        if (signal.aborted) return;
      }
    } finally {
      for (const client of this.#clients.values()) client.close();
      this.#clients.clear();
    }
  }

  /** Reads one stream, and returns why it ended. */
  async *#follow(endpoint: string, signal: AbortSignal): AsyncGenerator<WatchEvent, unknown> {
    const client = this.#clients.get(endpoint) ?? connectTo(endpoint, this.#credentials);
    this.#clients.set(endpoint, client);
    const call = client.watch(
      WatchRequest.create({
        symbols: this.#symbols,
        delivery: Delivery.EVERY_TICK,
        detail: Detail.QUOTE,
        afterSequence: this.#last,
        tapeId: this.#tapeId,
      }),
    );
    addAbortSignal(signal, call);
    const giveUpAfter = (limit: number) =>
      setTimeout(() => call.destroy(new Left(`no message for ${limit / 1_000} seconds`)), limit);
    let timer = giveUpAfter(CONNECT_TIMEOUT);
    let tokenExpires = false;
    try {
      for await (const { event } of call as AsyncIterable<WatchResponse>) {
        clearTimeout(timer);
        if (event !== undefined) yield* this.#handle(event, endpoint);
        tokenExpires ||= event?.$case === "tokenExpiring";
        // With the token of this stream, the next one would be told at once that it expires.
        if (tokenExpires && this.#token?.isRenewed) throw TOKEN_EXPIRING;
        timer = giveUpAfter(SILENCE_TIMEOUT);
      }
      return new Left("the server ended the stream");
    } catch (error) {
      return error;
    } finally {
      clearTimeout(timer);
      // The end of the loop destroys the stream, but does not cancel the call.
      call.cancel();
      // The connection may be dead, so the next attempt makes a new one. Only a channel that waits to connect again is kept:
      // after close(), grpc-js would connect it once more and keep that connection for ever.
      if (client.getChannel().getConnectivityState(false) !== connectivityState.TRANSIENT_FAILURE) {
        client.close();
        this.#clients.delete(endpoint);
      }
    }
  }

  *#handle(event: Message, endpoint: string): Generator<WatchEvent> {
    switch (event.$case) {
      case "subscriptionResult":
        yield* this.#accept(event.value, endpoint);
        break;
      case "tick": {
        const { symbol, sequence } = event.value;
        const last = this.#last.get(symbol) ?? sequence - 1n;
        if (sequence <= last) return;
        if (sequence > last + 1n) throw new Left(`${symbol} went from ${last} to ${sequence} without a gap`);
        this.#last.set(symbol, sequence);
        this.#attempts = 0;
        yield event;
        break;
      }
      case "gap":
        this.#last.set(event.value.symbol, event.value.lastSequence);
        yield event;
        break;
      case "caughtUp":
        yield event;
        break;
      case "draining":
        throw DRAINING;
      case "tokenExpiring":
      case "heartbeat":
        break;
    }
  }

  /** Takes the first message of a stream. If it refuses all symbols, the server ends the stream with INVALID_ARGUMENT. */
  *#accept({ tapeId, statuses }: SubscriptionResult, endpoint: string): Generator<WatchEvent> {
    if (statuses.some(({ code }) => code === SymbolStatusCode.FOREIGN_TAPE)) throw FOREIGN_TAPE;
    if (statuses.some(({ code }) => code === SymbolStatusCode.SUBSCRIBED)) {
      this.#tapeId = tapeId;
      yield { $case: "connected", value: { endpoint, tapeId } };
    }
    for (const value of statuses) {
      if (value.code === SymbolStatusCode.SUBSCRIBED || this.#refused.has(value.symbol)) continue;
      this.#refused.add(value.symbol);
      yield { $case: "refused", value };
    }
  }
}

/** Milliseconds: exponential, up to a second, with full jitter, so that the clients of a failed replica do not come back together. */
function backoff(attempt: number): number {
  return Math.random() * Math.min(50 * 2 ** attempt, 1_000);
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && "details" in error;
}

function isRetryable(error: unknown): boolean {
  return error instanceof Left || (isServiceError(error) && RETRYABLE.has(error.code));
}

/** The error as one line of text. */
export function describe(error: unknown): string {
  if (isServiceError(error)) return `${status[error.code]}: ${error.details}`;
  return String(error instanceof Error ? error.message : error).split("\n", 1)[0]!;
}
