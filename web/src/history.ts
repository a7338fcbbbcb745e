// Reads history: candles, single ticks, and the state of the market at an instant.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Candle, extend, ladder, openTime } from "./candles";
import { type Detail, type SymbolStatus, type Tick, type WatchRequestSchema } from "./gen/ticker/v1/ticker_pb";
import type { Row } from "./market";
import type { Replicas } from "./replicas";
import { fromTimestamp, fromSeconds, type Instant, SECOND, toDuration, toSeconds, toTimestamp } from "./time";

const LARGEST_PAGE = 10_000;
/** How far before an instant the last tick of a symbol is looked for, when its tick interval is not known. */
const LOOK_BACK = 60n * SECOND;

/** The last tick of some rows, and what the server says of their symbols. */
export interface LastTicks {
  rows: Row[];
  ticks: Map<string, Tick>;
  statuses: SymbolStatus[];
}

export class History {
  constructor(private readonly replicas: Replicas) {}

  /** The candles that begin from `start` to `end`, in seconds. */
  async candles(row: Row, interval: number, start: number, end: number, signal: AbortSignal): Promise<Candle[]> {
    const candles: Candle[] = [];
    let pageToken = "";
    do {
      const request = {
        symbol: row.symbol,
        interval: toDuration(interval),
        startTime: toTimestamp(fromSeconds(start)),
        endTime: toTimestamp(fromSeconds(end)),
        pageSize: LARGEST_PAGE,
        pageToken,
      };
      const page = await this.replicas.call((client, options) => client.listCandles(request, options), signal);
      for (const candle of page.candles) {
        candles.push({
          time: toSeconds(fromTimestamp(candle.openTime)),
          open: candle.openPrice,
          high: candle.highPrice,
          low: candle.lowPrice,
          close: candle.closePrice,
          volume: Number(candle.volume) * row.unit,
        });
      }
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    return candles;
  }

  /** The candle that holds an instant, up to the ticks of that instant. Undefined if there are none. */
  async forming(row: Row, interval: number, instant: Instant, signal: AbortSignal): Promise<Candle | undefined> {
    const seconds = toSeconds(instant);
    const time = openTime(seconds, interval);
    const { spans, rest } = ladder(time, seconds);
    const parts = await Promise.all([
      ...spans.map((span) => this.candles(row, span.interval, span.start, span.end, signal)),
      this.ticks(row, fromSeconds(rest), instant + 1n, signal).then((ticks) =>
        ticks.map(({ ltp, lastQuantity }) => ({
          open: ltp, high: ltp, low: ltp, close: ltp, volume: Number(lastQuantity) * row.unit,
        })),
      ),
    ]);
    let forming: Candle | undefined;
    for (const part of parts.flat()) {
      if (forming) extend(forming, part);
      else forming = { ...part, time };
    }
    return forming;
  }

  /** The tick with a sequence; undefined if it has not taken place or is before the first one. */
  async tick(symbol: string, sequence: bigint, signal: AbortSignal): Promise<Tick | undefined> {
    const request = { symbol, startSequence: sequence, endSequence: sequence + 1n };
    const page = await this.replicas.call((client, options) => client.listTicks(request, options), signal);
    return page.ticks[0];
  }

  /** The last tick before an instant. */
  async lastTickBefore(symbol: string, instant: Instant, signal: AbortSignal): Promise<Tick | undefined> {
    const request = { symbol, endTime: toTimestamp(instant), newestFirst: true, pageSize: 1 };
    const page = await this.replicas.call((client, options) => client.listTicks(request, options), signal);
    return page.ticks[0];
  }

  /** The first tick of a symbol. */
  async firstTick(symbol: string, signal: AbortSignal): Promise<Tick | undefined> {
    const page = await this.replicas.call((client, options) => client.listTicks({ symbol, pageSize: 1 }, options), signal);
    return page.ticks[0];
  }

  /** The newest tick of each symbol, without a quote: it comes at once, while the first quote of a symbol takes its time. */
  async lastPrices(symbols: string[], signal: AbortSignal): Promise<Tick[]> {
    const request = { symbols, pageSize: 1_000 };
    const page = await this.replicas.call((client, options) => client.getLastPrices(request, options), signal);
    return page.ticks;
  }

  /**
   * The last tick of each row up to an instant, in chunks of at most `size`. A row without a tick has none yet. With
   * quotes it takes longer, since the server reads the day of each symbol.
   */
  async *lastTicks(rows: Row[], instant: Instant, detail: Detail, size: number, signal: AbortSignal): AsyncGenerator<LastTicks> {
    for (let at = 0; at < rows.length; at += size) {
      yield await this.lastTicksOf(rows.slice(at, at + size), instant, detail, signal);
    }
  }

  private async lastTicksOf(rows: Row[], instant: Instant, detail: Detail, signal: AbortSignal): Promise<LastTicks> {
    const ticks = new Map<string, Tick>();
    const statuses: SymbolStatus[] = [];
    const take = (tick: Tick) => ticks.set(tick.symbol, tick);
    const groups = new Map<number, string[]>();
    for (const { symbol, tickInterval } of rows) groups.set(tickInterval, [...(groups.get(tickInterval) ?? []), symbol]);
    await Promise.all(
      [...groups].map(([interval, symbols]) => {
        // There is a tick in most stretches of twenty mean intervals.
        const back = interval > 0 ? 20n * fromSeconds(interval) : LOOK_BACK;
        const request = { symbols, detail, startTime: toTimestamp(instant > back ? instant - back : 0n) };
        return this.replay(request, instant, take, statuses, signal);
      }),
    );
    const refused = new Set(statuses.filter(({ message }) => message !== "").map(({ symbol }) => symbol));
    const without = rows.filter((row) => !ticks.has(row.symbol) && !refused.has(row.symbol));
    const afterSequence: Record<string, bigint> = {};
    for (const { symbol } of without) {
      const tick = await this.lastTickBefore(symbol, instant + 1n, signal);
      if (tick && tick.sequence > 0n) afterSequence[symbol] = tick.sequence - 1n;
    }
    const symbols = Object.keys(afterSequence);
    if (symbols.length > 0) {
      await this.replay({ symbols, detail, afterSequence, startTime: toTimestamp(instant) }, instant, take, [], signal);
    }
    return { ticks, statuses, rows };
  }

  /** Replays up to an instant, as fast as it can be read. */
  private async replay(
    request: MessageInitShape<typeof WatchRequestSchema>,
    instant: Instant,
    take: (tick: Tick) => void,
    statuses: SymbolStatus[],
    signal: AbortSignal,
  ): Promise<void> {
    const whole = { ...request, endTime: toTimestamp(instant + 1n) };
    try {
      await this.replicas.call(async (client, options) => {
        for await (const { event } of client.watch(whole, options)) {
          if (event.case === "tick") take(event.value);
          else if (event.case === "subscriptionResult") statuses.push(...event.value.statuses);
        }
      }, signal);
    } catch (error) {
      // Not one of the symbols can be subscribed; their statuses say why.
      if (ConnectError.from(error).code !== Code.InvalidArgument || statuses.length === 0) throw error;
    }
  }

  private async ticks(row: Row, start: Instant, end: Instant, signal: AbortSignal): Promise<Tick[]> {
    const ticks: Tick[] = [];
    let pageToken = "";
    do {
      const request = {
        symbol: row.symbol,
        startTime: toTimestamp(start),
        endTime: toTimestamp(end),
        pageSize: LARGEST_PAGE,
        pageToken,
      };
      const page = await this.replicas.call((client, options) => client.listTicks(request, options), signal);
      ticks.push(...page.ticks);
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    return ticks;
  }
}
