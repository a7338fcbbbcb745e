// Time travel: whether the board is live, stands at an instant of the past, or plays from there.

import type { Feed, Wanted } from "./feed";
import { Detail, type Tick } from "./gen/ticker/v1/ticker_pb";
import type { History, LastTicks } from "./history";
import type { Row } from "./market";
import type { TapeClock } from "./tape_clock";
import { fromTimestamp, type Instant } from "./time";

/** Symbols that are asked for together: without quotes, and with them. */
const MANY = 500;
const FEW = 20;
/** Rows that get a quote though they are out of view; others get it when they come into view. */
const MOST_QUOTES = 120;

export type Mode = "live" | "paused" | "playing";

/** What is shown at an instant, as far as time travel has to do with it. */
export interface Scene {
  /** All rows: first the selected one, then those in view. */
  rows(): Row[];
  selected(): Row | undefined;
  /** What to stream, live or at a pace. */
  wanted(replay?: { start: Instant; speed: number }): Wanted;
  /** The live stream was asked for. */
  wentLive(): void;
  /** Another line of time begins: what is shown belongs to the one before. */
  leaveTime(): void;
  take(row: Row, tick: Tick): void;
  refuse(symbol: string, message: string): void;
  /** The mode, the instant or the speed has changed. */
  changed(): void;
  /** All rows show the instant; most of their quotes are still to come. */
  settled(): void;
  failed(error: unknown): void;
}

export class Travel {
  mode: Mode = "live";
  speed = 1;
  /** The instant that is shown; of no meaning while live. */
  instant: Instant = 0n;
  /** Rows are still being brought to the instant. */
  isSeeking = false;

  private wanted: Instant | undefined;
  private seeks = new AbortController();
  private quotes = new AbortController();

  constructor(
    private readonly scene: Scene,
    private readonly feed: Feed,
    private readonly history: History,
    private readonly clock: TapeClock,
  ) {}

  /** Back to the present. */
  live(): void {
    this.stopSeeking();
    this.mode = "live";
    this.scene.leaveTime();
    this.feed.begin(this.scene.wanted());
    this.scene.wentLive();
    this.scene.changed();
  }

  /** Goes to an instant, or live if it has not come yet. A board that plays goes on playing there. */
  seek(instant: Instant): void {
    if (this.clock.isSet && instant >= this.clock.read()) this.live();
    else this.go(instant);
  }

  /** Shows the instant again: rows were added. */
  refresh(): void {
    if (this.mode !== "live") this.go(this.instant);
  }

  pause(): void {
    if (this.mode === "paused") return;
    if (this.mode === "live") {
      const newest = this.newest();
      if (newest === 0n) return;
      this.instant = newest;
    }
    this.mode = "paused";
    this.go(this.instant);
  }

  play(): void {
    if (this.mode !== "paused") return;
    this.mode = "playing";
    this.quotes.abort();
    this.scene.changed();
    if (!this.isSeeking) this.startReplay();
  }

  setSpeed(speed: number): void {
    this.speed = speed;
    if (this.mode === "playing" && !this.isSeeking) {
      this.feed.change(this.scene.wanted({ start: this.instant, speed }));
    }
    this.scene.changed();
  }

  /** Goes to the tick of the selected symbol that is `count` ticks after the one shown, or before it when negative. */
  async step(count: 1 | -1): Promise<void> {
    const row = this.scene.selected();
    if (!row || row.sequence < 0n) return;
    const sequence = row.sequence + BigInt(count);
    if (sequence < 0n) return this.scene.failed(new Error("This is the first tick."));
    if (this.mode !== "paused") this.pause();
    try {
      const tick = await this.history.tick(row.symbol, sequence, this.seeks.signal);
      if (tick) this.go(fromTimestamp(tick.time));
      else this.scene.failed(new Error(count > 0 ? "This is the newest tick." : "This is the first tick."));
    } catch (error) {
      if (!this.seeks.signal.aborted) this.scene.failed(error);
    }
  }

  /** Brings the quotes of rows to the instant: those in view, then others. */
  async fillQuotes(): Promise<void> {
    if (this.mode !== "paused" || this.isSeeking) return;
    this.quotes.abort();
    this.quotes = new AbortController();
    const { signal } = this.quotes;
    const rows = this.scene.rows().slice(0, MOST_QUOTES).filter((row) => row.isQuoteStale);
    try {
      await this.take(this.history.lastTicks(rows, this.instant, Detail.QUOTE, FEW, signal), signal);
    } catch (error) {
      if (!signal.aborted) this.scene.failed(error);
    }
  }

  /** A tick came from the stream. */
  took(time: Instant): void {
    if (this.mode === "playing" && time > this.instant) this.instant = time;
  }

  /** A replay has reached the present: it goes on live, without a break. */
  reachedPresent(): void {
    if (this.mode !== "playing") return;
    this.mode = "live";
    this.feed.change(this.scene.wanted());
    this.scene.changed();
  }

  private go(instant: Instant): void {
    if (this.mode === "live") this.mode = "paused";
    this.quotes.abort();
    this.feed.end();
    this.instant = instant < 0n ? 0n : instant;
    this.wanted = this.instant;
    this.scene.changed();
    if (!this.isSeeking) void this.seekAll();
  }

  private newest(): Instant {
    return this.scene.rows().reduce((newest, row) => (row.time > newest ? row.time : newest), 0n);
  }

  private stopSeeking(): void {
    this.wanted = undefined;
    this.quotes.abort();
    this.seeks.abort();
    this.seeks = new AbortController();
    this.isSeeking = false;
  }

  /** Brings all rows to the instant that was asked for last. One that is dragged about shows the first rows of each. */
  private async seekAll(): Promise<void> {
    const { signal } = this.seeks;
    this.isSeeking = true;
    while (this.wanted !== undefined && !signal.aborted) {
      const instant = this.wanted;
      this.wanted = undefined;
      try {
        await this.show(instant, signal);
      } catch (error) {
        if (signal.aborted) return;
        this.scene.failed(error);
        this.mode = "paused";
      }
    }
    if (signal.aborted) return;
    this.isSeeking = false;
    this.scene.settled();
    this.scene.changed();
    if (this.mode === "playing") this.startReplay();
    else await this.fillQuotes();
  }

  /** Shows the prices of all rows, and the quote of the first one, which is the one of the chart. */
  private async show(instant: Instant, signal: AbortSignal): Promise<void> {
    this.scene.leaveTime();
    const [first, ...others] = this.scene.rows();
    await Promise.all([
      this.take(this.history.lastTicks(first ? [first] : [], instant, Detail.QUOTE, 1, signal), signal),
      this.take(this.history.lastTicks(others, instant, Detail.LTP, MANY, signal), signal),
    ]);
  }

  private async take(chunks: AsyncGenerator<LastTicks>, signal: AbortSignal): Promise<void> {
    for await (const { ticks, statuses, rows } of chunks) {
      if (signal.aborted || this.wanted !== undefined) return;
      for (const { symbol, message } of statuses) {
        if (message !== "") this.scene.refuse(symbol, message);
      }
      for (const row of rows) {
        const tick = ticks.get(row.symbol);
        if (tick) this.scene.take(row, tick);
        else row.clear();
      }
      this.scene.changed();
    }
  }

  private startReplay(): void {
    const after = this.scene.rows().filter((row) => row.sequence >= 0n);
    const positions = after.map((row): [string, bigint] => [row.symbol, row.sequence]);
    this.feed.begin(this.scene.wanted({ start: this.instant + 1n, speed: this.speed }), positions);
    this.scene.changed();
  }
}
