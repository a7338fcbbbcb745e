// The stream of ticks: one watch at a time, resumed at any replica when it breaks, without a tick lost or taken twice.
//
// A stream that is to be replaced, because its replica drains or because other symbols are wanted, is read until the
// next one has answered.

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { Continuity } from "./continuity";
import {
  Detail,
  type SubscriptionResult,
  type SymbolStatus,
  SymbolStatusCode,
  type Tick,
  WatchRequestSchema,
  type WatchResponse,
} from "./gen/ticker/v1/ticker_pb";
import { isRetryable } from "./replicas";
import type { Rotation } from "./rotation";
import { fromTimestamp, type Instant, toDuration, toTimestamp } from "./time";

/** A stream on which nothing came for this time is dead: the server sends heartbeats every five seconds. */
const SILENCE = 16_000;
/** Longer outages are caught up with in steps, so that a computer that slept does not read hours of every tick. */
const LONG_OUTAGE = 60_000;
const STEPS_OF_LONG_OUTAGE = 240;

/** What is watched. */
export interface Wanted {
  /** Symbols, or `*` alone. */
  symbols: string[];
  /** Least time between two ticks of a symbol, in seconds; zero for every tick. */
  minInterval: number;
  /** Set for a replay: the first instant and the pace. */
  replay?: { start: Instant; speed: number };
}

export type FeedState =
  | { kind: "off" }
  | { kind: "connecting" }
  | { kind: "connected" }
  | { kind: "moving" }
  | { kind: "reconnecting"; attempt: number; message: string }
  | { kind: "refused"; message: string }
  | { kind: "unauthenticated"; message: string };

export interface FeedEvents {
  tick(tick: Tick): void;
  /** The outcome for each symbol of a request. */
  statuses(statuses: SymbolStatus[]): void;
  /** A resumed symbol has reached the present. */
  caughtUp(): void;
  /** The time on the tape. */
  time(instant: Instant): void;
  changed(): void;
  /** A replica plays another tape and is passed over. */
  foreignReplica(endpoint: string): void;
  /** All replicas play another tape than before. */
  otherTape(before: string, now: string): void;
  unauthenticated(message: string): void;
  tokenExpiring(): void;
}

type Watch = (
  endpoint: string,
  request: MessageInitShape<typeof WatchRequestSchema>,
  signal: AbortSignal,
) => AsyncIterable<WatchResponse>;

/** One watch at one replica. */
interface Stream {
  endpoint: string;
  abort: AbortController;
  heard: number;
  /** Number of symbols that were resumed, and that have caught up. */
  resumed: number;
  caughtUp: number;
  /** Conflates on purpose to catch up after a long outage. */
  catchesUpInSteps: boolean;
  /** Why it was given up, if the board did so. */
  failure?: string;
}

export class Feed {
  readonly continuity = new Continuity();
  state: FeedState = { kind: "off" };
  tapeId = "";
  reconnects = 0;

  private wanted: Wanted | undefined;
  private current: Stream | undefined;
  private opening: Stream | undefined;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private watchdog: ReturnType<typeof setInterval> | undefined;
  private attempt = 0;
  /** The newest time of a tick, from which a replay goes on. */
  private newest: Instant = 0n;
  /** Time without a stream before the present outage, in milliseconds. */
  private pastOutages = 0;
  private outageSince: number | undefined;
  private countsAsReconnect = false;

  constructor(
    private readonly rotation: Rotation,
    private readonly watch: Watch,
    private readonly events: FeedEvents,
    private readonly now: () => number = () => performance.now(),
  ) {}

  get endpoint(): string {
    return (this.current ?? this.opening)?.endpoint ?? this.rotation.current;
  }

  /** Time during which a stream was wanted and, after the first one, there was none, in milliseconds. */
  get withoutStream(): number {
    return this.pastOutages + (this.outageSince === undefined ? 0 : this.now() - this.outageSince);
  }

  /** The tape that the first stream has to be of, if nothing is known of it yet. */
  expectTape(tapeId: string): void {
    this.tapeId ||= tapeId;
    this.events.changed();
  }

  /** Begins another line of time: live, or a replay. `after` holds the last sequence of the symbols that are known there. */
  begin(wanted: Wanted, after: Iterable<[string, bigint]> = []): void {
    this.end();
    this.continuity.forgetAll();
    for (const [symbol, sequence] of after) this.continuity.resumeAfter(symbol, sequence);
    this.wanted = wanted;
    this.newest = wanted.replay?.start ?? 0n;
    this.watchdog = setInterval(() => this.checkSilence(), 1_000);
    this.setState({ kind: "connecting" });
    this.open();
  }

  /** Watches other symbols, or at another pace, on the same line of time. */
  change(wanted: Wanted): void {
    if (!this.wanted) return this.begin(wanted);
    this.wanted = wanted;
    clearTimeout(this.retry);
    this.cancel("opening");
    this.open();
  }

  /** Ends the stream. The positions stay. */
  end(): void {
    clearTimeout(this.retry);
    clearInterval(this.watchdog);
    this.cancel("opening");
    this.cancel("current");
    this.endOutage();
    this.wanted = undefined;
    this.attempt = 0;
    this.countsAsReconnect = false;
    this.setState({ kind: "off" });
  }

  /** Tries at once: the network is back, or there is a token. */
  retryNow(): void {
    if (!this.wanted || this.opening || this.state.kind === "connected") return;
    clearTimeout(this.retry);
    this.open();
  }

  private cancel(which: "opening" | "current"): void {
    const stream = this[which];
    this[which] = undefined;
    stream?.abort.abort();
  }

  private open(): void {
    const { wanted } = this;
    if (!wanted) return;
    const outage = this.outageSince === undefined ? 0 : this.now() - this.outageSince;
    const inSteps = wanted.replay === undefined && outage > LONG_OUTAGE;
    const all = wanted.symbols[0] === "*";
    const symbols = new Set(wanted.symbols);
    const after = [...this.continuity.entries()].filter(([symbol]) => all || symbols.has(symbol));
    const minInterval = inSteps ? Math.max(wanted.minInterval, outage / 1_000 / STEPS_OF_LONG_OUTAGE) : wanted.minInterval;
    const stream: Stream = {
      endpoint: this.rotation.current,
      abort: new AbortController(),
      heard: this.now(),
      resumed: after.length,
      caughtUp: 0,
      catchesUpInSteps: inSteps,
    };
    this.opening = stream;
    const request = create(WatchRequestSchema, {
      symbols: wanted.symbols,
      afterSequence: Object.fromEntries(after),
      tapeId: after.length > 0 ? this.tapeId : "",
      detail: Detail.QUOTE,
    });
    if (minInterval > 0) request.minInterval = toDuration(minInterval);
    if (wanted.replay) {
      // Ticks of all symbols come in the order of their times, so all before the newest are here.
      request.startTime = toTimestamp(this.newest);
      request.speed = wanted.replay.speed;
    }
    void this.read(stream, request);
  }

  private async read(stream: Stream, request: MessageInitShape<typeof WatchRequestSchema>): Promise<void> {
    let end: ConnectError | undefined;
    try {
      for await (const message of this.watch(stream.endpoint, request, stream.abort.signal)) {
        if (stream !== this.current && stream !== this.opening) return;
        stream.heard = this.now();
        this.receive(stream, message);
      }
    } catch (error) {
      end = ConnectError.from(error);
    }
    this.ended(stream, end);
  }

  private receive(stream: Stream, { event }: WatchResponse): void {
    switch (event.case) {
      case "tick":
        return this.takeTick(event.value);
      case "subscriptionResult":
        return this.takeResult(stream, event.value);
      case "gap":
        this.continuity.gap(event.value.symbol, event.value.firstSequence, event.value.lastSequence);
        return this.events.changed();
      case "heartbeat":
        return this.events.time(fromTimestamp(event.value.time));
      case "caughtUp":
        return this.takeCaughtUp(stream);
      case "draining":
        return this.leave(stream);
      case "tokenExpiring":
        return this.events.tokenExpiring();
    }
  }

  private takeTick(tick: Tick): void {
    if (!this.continuity.take(tick.symbol, tick.sequence, tick.conflated)) return;
    const time = fromTimestamp(tick.time);
    if (time > this.newest) this.newest = time;
    this.events.tick(tick);
  }

  private takeResult(stream: Stream, result: SubscriptionResult): void {
    if (this.tapeId !== "" && result.tapeId !== this.tapeId) {
      const before = this.tapeId;
      if (this.rotation.skipForeign(stream.endpoint)) {
        this.events.foreignReplica(stream.endpoint);
        stream.failure = "plays another tape";
        stream.abort.abort();
        return;
      }
      this.continuity.reset();
      this.reconnects = 0;
      this.countsAsReconnect = false;
      this.pastOutages = 0;
      this.outageSince = undefined;
      this.tapeId = result.tapeId;
      this.events.otherTape(before, result.tapeId);
      if (stream.resumed > 0) {
        // The positions were those of the other tape, so all symbols were refused.
        this.cancel("current");
        this.cancel("opening");
        this.open();
        return;
      }
    }
    this.tapeId = result.tapeId;
    this.events.statuses(result.statuses);
    if (!result.statuses.some((status) => status.code === SymbolStatusCode.SUBSCRIBED)) return;
    if (stream !== this.opening) return;
    this.cancel("current");
    this.current = stream;
    this.opening = undefined;
    this.attempt = 0;
    this.rotation.succeeded();
    if (this.countsAsReconnect) this.reconnects += 1;
    this.countsAsReconnect = false;
    this.endOutage();
    this.setState({ kind: "connected" });
  }

  private takeCaughtUp(stream: Stream): void {
    stream.caughtUp += 1;
    if (stream.catchesUpInSteps && stream.caughtUp >= stream.resumed && this.wanted) {
      stream.catchesUpInSteps = false;
      this.change(this.wanted);
    }
    this.events.caughtUp();
  }

  /** Makes before it breaks: opens the next stream elsewhere and reads this one until the other has answered. */
  private leave(stream: Stream): void {
    if (stream !== this.current || this.opening) return;
    this.countsAsReconnect = true;
    this.setState({ kind: "moving" });
    this.rotation.advance();
    this.open();
  }

  private ended(stream: Stream, error: ConnectError | undefined): void {
    if (stream === this.current) {
      this.current = undefined;
      this.outageSince = this.now();
      this.countsAsReconnect = true;
      if (this.opening || this.attempt > 0) {
        // The next stream is on its way already, or about to be tried.
        return this.setState({ kind: "reconnecting", attempt: this.attempt, message: "the replica has stopped" });
      }
    } else if (stream === this.opening) {
      this.opening = undefined;
    } else {
      return;
    }
    const message = stream.failure ?? error?.rawMessage ?? "the server ended the stream";
    if (!stream.failure && error && !isRetryable(error)) return this.giveUp(error);
    const skipped = stream.failure === "plays another tape";
    const wait = skipped ? 0 : this.rotation.failed();
    this.attempt += 1;
    if (!this.current) this.setState({ kind: "reconnecting", attempt: this.attempt, message });
    this.retry = setTimeout(() => this.open(), wait);
  }

  /** Nothing changes by trying again, until other symbols are asked for or there is a token. */
  private giveUp(error: ConnectError): void {
    const message = error.rawMessage;
    this.cancel("current");
    this.endOutage();
    this.attempt = 0;
    if (error.code === Code.Unauthenticated) {
      this.setState({ kind: "unauthenticated", message });
      this.events.unauthenticated(message);
    } else {
      this.setState({ kind: "refused", message });
    }
  }

  private checkSilence(): void {
    for (const stream of [this.current, this.opening]) {
      if (stream && !stream.failure && this.now() - stream.heard > SILENCE) {
        stream.failure = `silent for ${SILENCE / 1000} s`;
        stream.abort.abort();
      }
    }
    if (this.outageSince !== undefined) this.events.changed();
  }

  private endOutage(): void {
    if (this.outageSince === undefined) return;
    this.pastOutages += this.now() - this.outageSince;
    this.outageSince = undefined;
  }

  private setState(state: FeedState): void {
    this.state = state;
    this.events.changed();
  }
}
