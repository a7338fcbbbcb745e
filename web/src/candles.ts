// Candles of one symbol and one interval: pages of history that are fetched as they are looked at, and the newest candles,
// folded from the ticks as they come. Times are in seconds since the Unix epoch.

export interface Candle {
  /** The start of its interval. */
  time: number;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number;
}

export interface Trade {
  seconds: number;
  sequence: bigint;
  price: number;
  quantity: number;
}

/** Adds a later trade, or the next candle of a smaller interval. */
export function extend(candle: Candle, part: Omit<Candle, "time">): void {
  candle.high = Math.max(candle.high, part.high);
  candle.low = Math.min(candle.low, part.low);
  candle.close = part.close;
  candle.volume += part.volume;
}

export function openTime(seconds: number, interval: number): number {
  return Math.floor(seconds / interval) * interval;
}

/** A range of whole candles of an interval: from `start` to `end`. */
export interface Span {
  interval: number;
  start: number;
  end: number;
}

/**
 * Divides the time from `start` to `until` into whole candles of ever smaller intervals. The rest of the last second, from
 * `rest` on, has to be read tick by tick. It needs few ticks however long the time is.
 */
export function ladder(start: number, until: number): { spans: Span[]; rest: number } {
  const spans: Span[] = [];
  let at = start;
  for (const interval of [14_400, 900, 60, 1]) {
    const end = openTime(until, interval);
    if (at % interval === 0 && end > at) {
      spans.push({ interval, start: at, end });
      at = end;
    }
  }
  return { spans, rest: at };
}

interface Page {
  candles: Candle[];
  /** All candles that begin before this time, and in the page, are here. */
  until: number;
}

/** A part of history that is missing. */
export interface Missing {
  page: number;
  start: number;
  end: number;
}

/** Most candles that are kept, besides those in view. */
const MOST_CANDLES = 6_000;
/** Ticks that a page is folded from, about; the server reads them in a fraction of a second. */
const TICKS_OF_PAGE = 4_000_000;

export class CandleStore {
  /** Candles of a page. */
  readonly pageLength: number;

  private readonly pages = new Map<number, Page>();
  /** Candles folded from ticks that no page has yet, oldest first; the last one is not over. */
  private readonly tail: Candle[] = [];
  /** The last tick in the tail. */
  private sequence = -1n;
  /** All ticks of the last candle of the tail are in it. */
  private isExact = false;

  constructor(
    readonly interval: number,
    /** Time between two ticks of the symbol, in seconds. */
    tickInterval: number,
  ) {
    const length = (TICKS_OF_PAGE * (tickInterval || 0.1)) / interval;
    this.pageLength = Math.max(8, Math.min(500, Math.floor(length)));
  }

  /** Whether the candle that is not over has to be read from history, up to the last tick that came. */
  get needsForming(): boolean {
    return !this.isExact;
  }

  /** The start of the candle that is not over. */
  get formingTime(): number | undefined {
    return this.tail[this.tail.length - 1]?.time;
  }

  /** Takes the next trade of the line of time. */
  take(trade: Trade): void {
    if (trade.sequence <= this.sequence) return;
    const time = openTime(trade.seconds, this.interval);
    const isNext = trade.sequence === this.sequence + 1n;
    const last = this.tail[this.tail.length - 1];
    const { price, quantity } = trade;
    const part = { open: price, high: price, low: price, close: price, volume: quantity };
    if (last && time === last.time) {
      extend(last, part);
      this.isExact &&= isNext;
    } else {
      if (last && isNext && this.isExact) this.adopt(last, time);
      this.tail.push({ time, ...part });
      this.isExact = last !== undefined && isNext;
      this.dropTail();
    }
    this.sequence = trade.sequence;
  }

  /** Replaces the candle that is not over by what history says, up to a tick. */
  setForming(candle: Candle, sequence: bigint): void {
    // Ticks came in the meantime: it has to be read again.
    if (sequence < this.sequence) return;
    while (this.tail.length > 0 && this.tail[this.tail.length - 1]!.time >= candle.time) this.tail.pop();
    this.tail.push(candle);
    this.sequence = sequence;
    this.isExact = true;
  }

  /** Another line of time begins. What is over stays as it is, on every line. */
  leaveTime(): void {
    this.tail.length = 0;
    this.sequence = -1n;
    this.isExact = false;
  }

  /** The parts of history from `start` to `end` that are missing, before the candle that holds `now`. */
  missing(start: number, end: number, now: number): Missing[] {
    const missing: Missing[] = [];
    const length = this.pageLength * this.interval;
    const over = openTime(now, this.interval);
    const first = Math.floor(Math.max(0, start) / length);
    for (let page = first; page * length < Math.min(end, over); page++) {
      const until = this.pages.get(page)?.until ?? page * length;
      const wanted = Math.min((page + 1) * length, over);
      if (until < wanted) missing.push({ page, start: until, end: wanted });
    }
    return missing;
  }

  /** Adds what was missing. */
  add({ page, start, end }: Missing, candles: Candle[]): void {
    const known = this.pages.get(page);
    if (known && known.until !== start) return;
    this.pages.set(page, { candles: [...(known?.candles ?? []), ...candles], until: end });
    this.dropTail();
  }

  /** Drops the pages that are farthest from what is in view. */
  dropFar(start: number, end: number): void {
    const most = Math.max(2, Math.ceil(MOST_CANDLES / this.pageLength));
    if (this.pages.size <= most) return;
    const length = this.pageLength * this.interval;
    const middle = (start + end) / 2 / length;
    const distance = (page: number) => Math.abs(page + 0.5 - middle);
    const far = [...this.pages.keys()].sort((a, b) => distance(b) - distance(a));
    for (const page of far.slice(0, this.pages.size - most)) {
      if ((page + 1) * length <= start || page * length >= end) this.pages.delete(page);
    }
  }

  /** The candles from `start` to `end` that have begun by `now`, oldest first. */
  between(start: number, end: number, now: number): Candle[] {
    const candles: Candle[] = [];
    const length = this.pageLength * this.interval;
    const over = openTime(now, this.interval);
    const first = Math.floor(Math.max(0, start) / length);
    const last = Math.min(end, over);
    for (let page = first; page * length < last; page++) {
      for (const candle of this.pages.get(page)?.candles ?? []) {
        if (candle.time + this.interval > start && candle.time < last) candles.push(candle);
      }
    }
    for (const candle of this.tail) {
      const isNew = candle.time >= over || !this.isInPage(candle);
      if (isNew && candle.time + this.interval > start && candle.time < end) candles.push(candle);
    }
    return candles.sort((a, b) => a.time - b.time);
  }

  /** A candle that is over and exact completes its page up to the next one, if that is complete up to there. */
  private adopt(candle: Candle, next: number): void {
    const length = this.pageLength * this.interval;
    const page = Math.floor(candle.time / length);
    const until = this.pages.get(page)?.until ?? page * length;
    if (until === candle.time) this.add({ page, start: until, end: Math.min(next, (page + 1) * length) }, [candle]);
    const pageOfNext = Math.floor(next / length);
    if (pageOfNext > page && !this.pages.has(pageOfNext)) this.pages.set(pageOfNext, { candles: [], until: next });
  }

  private dropTail(): void {
    while (this.tail.length > 1 && this.isInPage(this.tail[0]!)) this.tail.shift();
    if (this.tail.length > MOST_CANDLES) this.tail.splice(0, this.tail.length - MOST_CANDLES);
  }

  private isInPage({ time }: Candle): boolean {
    const page = this.pages.get(Math.floor(time / this.interval / this.pageLength));
    return page !== undefined && time < page.until;
  }
}
