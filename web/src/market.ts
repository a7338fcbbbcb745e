// What is known about each symbol of the watch list.

import type { Sort } from "./address";
import { decimalsOf } from "./format";
import type { Instrument, SymbolStatus, Tick } from "./gen/ticker/v1/ticker_pb";
import { Spark } from "./spark";
import { durationSeconds, fromTimestamp, type Instant, toSeconds } from "./time";

export interface Quote {
  bid: number;
  bidQuantity: number;
  ask: number;
  askQuantity: number;
  open: number;
  high: number;
  low: number;
  volume: number;
  previousClose: number;
}

/** One symbol. Numbers are NaN until they are known. */
export class Row {
  instrument: Instrument | undefined;
  decimals = 2;
  /** Size of a unit of quantity, in shares or coins. */
  unit = 1;
  last = NaN;
  lastQuantity = NaN;
  /** Sequence of the last tick; -1 when there is none. */
  sequence = -1n;
  time: Instant = 0n;
  quote: Quote | undefined;
  change = NaN;
  percent = NaN;
  /** 1 after a rise, -1 after a fall; it stays when the price does. */
  direction: -1 | 0 | 1 = 0;
  /** Number of changes of the price, to tell a change from a repaint. */
  moves = 0;
  /** Number of ticks, to tell whether anything is new. */
  version = 0;
  /** Why the server refused the symbol. */
  refusal: string | undefined;
  /** The state is that of another time, until the next tick. */
  isStale = true;
  /** The same of all but the price: a tick without a quote came. */
  isQuoteStale = true;
  readonly spark = new Spark();

  constructor(readonly symbol: string) {}

  setInstrument(instrument: Instrument): void {
    this.instrument = instrument;
    this.decimals = decimalsOf(instrument.priceIncrementNanos);
    this.unit = Number(instrument.quantityIncrementNanos) / 1e9 || 1;
    this.version += 1;
  }

  /** The name of the instrument; empty when it is no other than the symbol. */
  get name(): string {
    const name = this.instrument?.name ?? "";
    return name === this.symbol ? "" : name;
  }

  /** Time between two ticks, in seconds; zero when it is not known. */
  get tickInterval(): number {
    return durationSeconds(this.instrument?.tickInterval);
  }

  take(tick: Tick): void {
    const { quote } = tick;
    if (tick.ltp !== this.last) {
      const isMove = !this.isStale && !Number.isNaN(this.last);
      this.direction = !isMove ? 0 : tick.ltp > this.last ? 1 : -1;
      this.moves += isMove ? 1 : 0;
    }
    // An instrument that is not listed tells its decimals by its prices.
    if (!this.instrument) this.decimals = Math.max(this.decimals, decimalsOf(tick.ltpNanos));
    if (this.isStale) this.spark.clear();
    this.isStale = false;
    this.last = tick.ltp;
    this.lastQuantity = Number(tick.lastQuantity) * this.unit;
    this.sequence = tick.sequence;
    this.time = fromTimestamp(tick.time);
    this.version += 1;
    this.spark.add(toSeconds(this.time), tick.ltp);
    if (!quote) return;
    this.isQuoteStale = false;
    const price = (nanos: bigint) => (nanos === 0n ? NaN : Number(nanos) / 1e9);
    this.quote = {
      bid: price(quote.bidNanos),
      bidQuantity: Number(quote.bidQuantity) * this.unit,
      ask: price(quote.askNanos),
      askQuantity: Number(quote.askQuantity) * this.unit,
      open: price(quote.openNanos),
      high: price(quote.highNanos),
      low: price(quote.lowNanos),
      volume: Number(quote.volume) * this.unit,
      previousClose: price(quote.previousCloseNanos),
    };
    this.change = tick.ltp - this.quote.previousClose;
    this.percent = quote.changePercent ?? NaN;
  }

  /** Another line of time begins: what is known is that of another time. */
  setStale(): void {
    this.isStale = this.isQuoteStale = true;
    this.sequence = -1n;
    this.version += 1;
  }

  /** Forgets the state of the market: there is none at this time. */
  clear(): void {
    this.last = this.lastQuantity = this.change = this.percent = NaN;
    this.quote = undefined;
    this.sequence = -1n;
    this.time = 0n;
    this.direction = 0;
    this.isStale = this.isQuoteStale = false;
    this.version += 1;
    this.spark.clear();
  }
}

export class Market {
  readonly rows = new Map<string, Row>();
  /** The symbols of the watch list, in the order of their adding. */
  symbols: string[] = [];

  row(symbol: string): Row {
    let row = this.rows.get(symbol);
    if (!row) {
      row = new Row(symbol);
      this.rows.set(symbol, row);
    }
    return row;
  }

  setSymbols(symbols: string[]): void {
    this.symbols = symbols;
    const kept = new Set(symbols);
    for (const symbol of this.rows.keys()) {
      if (!kept.has(symbol)) this.rows.delete(symbol);
    }
    for (const symbol of symbols) this.row(symbol);
  }

  takeStatuses(statuses: SymbolStatus[], isSubscribed: (status: SymbolStatus) => boolean): void {
    for (const status of statuses) {
      const row = this.rows.get(status.symbol);
      if (!row) continue;
      row.refusal = isSubscribed(status) ? undefined : status.message || "refused by the server";
      row.version += 1;
    }
  }

  /** The rows of the watch list in the order of a column; those without a value last. */
  sorted(sort: Sort | undefined): Row[] {
    const rows = this.symbols.map((symbol) => this.row(symbol));
    if (!sort) return rows;
    const sign = sort.descending ? -1 : 1;
    if (sort.column === "symbol") {
      return rows.sort((a, b) => sign * (a.symbol < b.symbol ? -1 : a.symbol > b.symbol ? 1 : 0));
    }
    const values = new Map(rows.map((row) => [row, sortValue(row, sort.column)]));
    return rows.sort((a, b) => {
      const [x, y] = [values.get(a)!, values.get(b)!];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y));
      return sign * (x - y);
    });
  }
}

function sortValue(row: Row, column: Sort["column"]): number {
  switch (column) {
    case "last":
      return row.last;
    case "change":
      return row.change;
    case "percent":
      return row.percent;
    case "range":
      return rangePosition(row);
    case "volume":
      return row.quote?.volume ?? NaN;
    case "trend":
      return row.spark.trend;
    case "symbol":
      return NaN;
  }
}

/** Where the last price lies in the range of the day: 0 is its low, 1 its high. */
export function rangePosition({ quote, last }: Row): number {
  if (!quote) return NaN;
  return quote.high > quote.low ? (last - quote.low) / (quote.high - quote.low) : 0.5;
}
