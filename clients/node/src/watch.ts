// A watch of every tick that fails over between endpoints: each tick comes once and in order.

import { addAbortSignal } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { type ChannelCredentials, connectivityState, type ServiceError, status } from "@grpc/grpc-js";
import { connect } from "./connect.js";
import { Delivery, Detail, SymbolStatusCode, WatchRequest, type WatchResponse } from "./generated/ticker/v1/ticker.js";
import { formatTime, type Print } from "./print.js";

// In milliseconds. The server sends a heartbeat every 5 seconds.
const CONNECT_TIMEOUT = 3_000;
const SILENCE_TIMEOUT = 15_000;

const { CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, INTERNAL, UNAVAILABLE } = status;
const RETRYABLE = [CANCELLED, UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, INTERNAL, UNAVAILABLE];

/** Why the client leaves a stream that may be resumed. */
class Left extends Error {}
const FOREIGN_TAPE = new Left("the replica plays another tape");

export class Watcher {
  // What a resume needs: the tape, and the last sequence of each symbol.
  private tapeId = "";
  private readonly last = new Map<string, bigint>();

  private readonly clients = new Map<string, ReturnType<typeof connect>>();
  /** Streams that have failed since the last tick. */
  private failures = 0;

  constructor(
    private readonly endpoints: string[],
    private readonly symbols: string[],
    private readonly credentials: ChannelCredentials,
    private readonly print: Print,
  ) {}

  /** Goes from endpoint to endpoint until `signal` is aborted. Throws when none can go on. */
  async run(signal: AbortSignal): Promise<void> {
    let foreign = 0;
    for (let at = 0; ; at = (at + 1) % this.endpoints.length) {
      const endpoint = this.endpoints[at]!;
      try {
        // Exponential, with jitter, so that the clients of a failed replica do not come back together.
        await sleep(Math.random() * Math.min(10 * 2 ** this.failures, 1_000), undefined, { signal });
        await this.follow(endpoint, signal);
      } catch (error) {
        if (signal.aborted) return;
        const { code, message } = error as ServiceError;
        // The token of a stream that worked has expired. The next stream is opened with the token that the file has by then.
        const expired = code === status.UNAUTHENTICATED && this.failures === 0;
        if (!(error instanceof Left || RETRYABLE.includes(code) || expired)) throw error;
        this.failures += 1;
        this.print({ event: "disconnected", endpoint, reason: message });
        foreign = error === FOREIGN_TAPE ? foreign + 1 : 0;
        if (foreign === this.endpoints.length) throw new Error(`no endpoint plays the tape ${this.tapeId} any more`);
      }
    }
  }

  /** Reads one stream. Throws when it ends. */
  private async follow(endpoint: string, signal: AbortSignal): Promise<never> {
    const client = this.clients.get(endpoint) ?? connect([endpoint], this.credentials);
    this.clients.set(endpoint, client);
    const call = client.watch(
      WatchRequest.create({
        symbols: this.symbols,
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
        this.handle(event, endpoint);
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

  private handle(event: WatchResponse["event"], endpoint: string): void {
    switch (event?.$case) {
      case "subscriptionResult": {
        const { tapeId, statuses } = event.value;
        if (statuses.some(({ code }) => code === SymbolStatusCode.FOREIGN_TAPE)) throw FOREIGN_TAPE;
        this.tapeId = tapeId;
        this.print({ event: "connected", endpoint, tape_id: tapeId });
        for (const { symbol, code, message } of statuses) {
          if (code !== SymbolStatusCode.SUBSCRIBED) this.print({ event: "refused", symbol, message });
        }
        break;
      }
      case "tick": {
        const { symbol, sequence, ltp, time, quote, snapshot } = event.value;
        const last = this.last.get(symbol) ?? sequence - 1n;
        if (sequence !== last + 1n) throw new Left(`${symbol} went from ${last} to ${sequence} without a gap`);
        this.last.set(symbol, sequence);
        this.failures = 0;
        this.print({
          event: "tick",
          symbol,
          sequence: Number(sequence),
          ltp,
          time: formatTime(time!),
          bid: Number(quote?.bidNanos ?? 0n) / 1e9,
          ask: Number(quote?.askNanos ?? 0n) / 1e9,
          snapshot,
        });
        break;
      }
      case "gap": {
        const { symbol, firstSequence: first, lastSequence: last } = event.value;
        this.last.set(symbol, last);
        this.print({ event: "gap", symbol, first_sequence: Number(first), last_sequence: Number(last) });
        break;
      }
      case "caughtUp":
        this.print({ event: "caught_up", symbol: event.value.symbol, sequence: Number(event.value.sequence) });
        break;
      case "draining":
        throw new Left("the replica is about to stop");
    }
  }
}
