// What the program prints: text, or one JSON object a line.

import type { Candle, GetTapeResponse } from "./generated/ticker/v1/ticker.js";
import type { Timestamp } from "./generated/google/protobuf/timestamp.js";
import type { WatchEvent } from "./watch.js";

export type Event =
  WatchEvent | { $case: "tape"; value: GetTapeResponse } | { $case: "candle"; value: Candle & { symbol: string } };

type Fields = Record<string, string | number | bigint | boolean>;

export function printJson(event: Event): void {
  console.log(toJson(fieldsOf(event)));
}

export function printText({ $case, value }: Event): void {
  switch ($case) {
    case "tape":
      console.log(`tape ${value.tapeId} at ${formatTime(value.time)}`);
      console.log(row("SYMBOL", "TIME".padEnd(17), "OPEN", "HIGH", "LOW", "CLOSE", "VOLUME"));
      break;
    case "candle": {
      const { symbol, openPrice, highPrice, lowPrice, closePrice, volume } = value;
      const time = `${formatTime(value.openTime).slice(0, 16)}Z`;
      console.log(row(symbol, time, openPrice, highPrice, lowPrice, closePrice, volume));
      break;
    }
    case "connected":
      console.log(`connected to ${value.endpoint}`);
      break;
    case "refused":
      console.error(`refused ${value.symbol}: ${value.message}`);
      break;
    case "tick":
      console.log(
        row(value.symbol, value.sequence, value.ltp, price(value.quote?.bidNanos), price(value.quote?.askNanos)),
      );
      break;
    case "gap":
      console.log(`gap ${value.symbol} ${value.firstSequence} to ${value.lastSequence}`);
      break;
    case "caughtUp":
      console.log(`caught up ${value.symbol} ${value.sequence}`);
      break;
    case "disconnected":
      console.error(`disconnected from ${value.endpoint}: ${value.reason}`);
      break;
  }
}

function fieldsOf({ $case, value }: Event): Fields {
  switch ($case) {
    case "tape":
      return { event: "tape", tape_id: value.tapeId, time: formatTime(value.time) };
    case "candle":
      return {
        event: "candle",
        symbol: value.symbol,
        open_time: formatTime(value.openTime),
        open: value.openPrice,
        high: value.highPrice,
        low: value.lowPrice,
        close: value.closePrice,
        volume: value.volume,
      };
    case "connected":
      return { event: "connected", endpoint: value.endpoint, tape_id: value.tapeId };
    case "refused":
      return { event: "refused", symbol: value.symbol, message: value.message };
    case "tick":
      return {
        event: "tick",
        symbol: value.symbol,
        sequence: value.sequence,
        ltp: value.ltp,
        time: formatTime(value.time),
        bid: price(value.quote?.bidNanos),
        ask: price(value.quote?.askNanos),
        snapshot: value.snapshot,
      };
    case "gap":
      return {
        event: "gap",
        symbol: value.symbol,
        first_sequence: value.firstSequence,
        last_sequence: value.lastSequence,
      };
    case "caughtUp":
      return { event: "caught_up", symbol: value.symbol, sequence: value.sequence };
    case "disconnected":
      return { event: "disconnected", endpoint: value.endpoint, reason: value.reason };
  }
}

/** JSON.stringify refuses a bigint, and a number above 2^53 would lose digits. */
function toJson(fields: Fields): string {
  const members = Object.entries(fields).map(
    ([name, value]) => `"${name}":${typeof value === "bigint" ? value : JSON.stringify(value)}`,
  );
  return `{${members.join(",")}}`;
}

/** RFC 3339 in UTC. A Date holds milliseconds, so the nanoseconds are written separately. */
function formatTime(time: Timestamp | undefined): string {
  if (time === undefined) return "";
  const seconds = new Date(Number(time.seconds) * 1_000).toISOString().slice(0, 19);
  const nanos = time.nanos === 0 ? "" : `.${String(time.nanos).padStart(9, "0")}`;
  return `${seconds}${nanos}Z`;
}

/** For reading only: sums of prices stay exact as a bigint of nanos. */
function price(nanos = 0n): number {
  return Number(nanos) / 1e9;
}

function row(symbol: string, ...cells: (string | number | bigint)[]): string {
  return symbol.padEnd(12) + cells.map((cell) => String(cell).padStart(11)).join(" ");
}
