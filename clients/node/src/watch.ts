// A watch of every tick that fails over between endpoints: each tick comes once and in order. This file needs nothing but the
// generated code.

import { addAbortSignal } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { connectivityState, type ServiceError, status } from "@grpc/grpc-js";
import {
  Delivery,
  Detail,
  SymbolStatusCode,
  type TickerStreamServiceClient,
  WatchRequest,
  type WatchResponse,
} from "./generated/ticker/v1/ticker.js";

// In milliseconds. The server sends a heartbeat every 5 seconds.
const CONNECT_TIMEOUT = 3_000;
const SILENCE_TIMEOUT = 15_000;

const { CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, INTERNAL, UNAVAILABLE } = status;
const RETRYABLE = [CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, INTERNAL, UNAVAILABLE];

/** Why the client leaves a stream that may be resumed. */
class Left extends Error {}
const FOREIGN_TAPE = new Left("the replica plays another tape");

export type Event = NonNullable<WatchResponse["event"]>;

export interface Options {
  endpoints: string[];
  symbols: string[];
  connect(endpoint: string): TickerStreamServiceClient;
  received(endpoint: string, event: Event): void;
  disconnected(endpoint: string, reason: Error): void;
}

export class Watcher {
  // What a resume needs: the tape, and the last sequence of each symbol.
  private tapeId = "";
  private readonly last = new Map<string, bigint>();

  private readonly clients = new Map<string, TickerStreamServiceClient>();
  /** Streams that have failed since the last tick. */
  private failures = 0;

  constructor(private readonly options: Options) {}

  /** Goes from endpoint to endpoint until `signal` is aborted. Throws when none can go on. */
  async run(signal: AbortSignal): Promise<void> {
    const { endpoints, disconnected } = this.options;
    let foreign = 0;
    for (let at = 0; ; at = (at + 1) % endpoints.length) {
      const endpoint = endpoints[at]!;
      try {
        // Exponential, with jitter, so that the clients of a failed replica do not come back together.
        await sleep(Math.random() * Math.min(10 * 2 ** this.failures, 1_000), undefined, { signal });
        await this.follow(endpoint, signal);
      } catch (error) {
        if (signal.aborted) return;
        const { code } = error as ServiceError;
        // The token of a stream that worked has expired. The next stream is opened with the token that the file has by then.
        const expired = code === status.UNAUTHENTICATED && this.failures === 0;
        if (!(error instanceof Left || RETRYABLE.includes(code) || expired)) throw error;
        this.failures += 1;
        disconnected(endpoint, error as Error);
        foreign = error === FOREIGN_TAPE ? foreign + 1 : 0;
        if (foreign === endpoints.length) throw new Error(`no endpoint plays the tape ${this.tapeId} any more`);
      }
    }
  }

  /** Reads one stream. Throws when it ends. */
  private async follow(endpoint: string, signal: AbortSignal): Promise<never> {
    const client = this.clients.get(endpoint) ?? this.options.connect(endpoint);
    this.clients.set(endpoint, client);
    const call = client.watch(
      WatchRequest.create({
        symbols: this.options.symbols,
        delivery: Delivery.EVERY_TICK,
        detail: Detail.QUOTE,
        afterSequence: this.last,
        tapeId: this.tapeId,
      }),
    );
    addAbortSignal(signal, call);
    const leave = () => call.destroy(new Left("no message came in time"));
    let timer = setTimeout(leave, CONNECT_TIMEOUT);
    try {
      for await (const { event } of call as AsyncIterable<WatchResponse>) {
        clearTimeout(timer);
        timer = setTimeout(leave, SILENCE_TIMEOUT);
        if (event === undefined) continue; // Of a later version of the contract.
        this.note(event);
        this.options.received(endpoint, event);
      }
      throw new Left("the server ended the stream");
    } finally {
      clearTimeout(timer);
      // The end of the loop destroys the stream, but does not cancel the call.
      call.cancel();
      // The connection may be dead, so the next stream gets another one. Only a channel that waits to connect again is kept:
      // after close(), grpc-js would connect it once more and keep that connection for ever.
      if (client.getChannel().getConnectivityState(false) !== connectivityState.TRANSIENT_FAILURE) {
        client.close();
        this.clients.delete(endpoint);
      }
    }
  }

  /** Keeps what a resume needs. Throws when the stream is of no more use. */
  private note(event: Event): void {
    switch (event.$case) {
      case "subscriptionResult":
        if (event.value.statuses.some(({ code }) => code === SymbolStatusCode.FOREIGN_TAPE)) throw FOREIGN_TAPE;
        this.tapeId = event.value.tapeId;
        break;
      case "tick": {
        const { symbol, sequence } = event.value;
        const last = this.last.get(symbol) ?? sequence - 1n;
        if (sequence !== last + 1n) throw new Left(`${symbol} went from ${last} to ${sequence} without a gap`);
        this.last.set(symbol, sequence);
        this.failures = 0;
        break;
      }
      case "gap":
        this.last.set(event.value.symbol, event.value.lastSequence);
        break;
      case "draining":
        throw new Left("the replica is about to stop");
    }
  }
}
