// What the program prints: a table in columns, or one JSON object a line.

import type { Timestamp } from "./generated/google/protobuf/timestamp.js";
import { SymbolStatusCode } from "./generated/ticker/v1/ticker.js";
import type { Event } from "./watch.js";

export type Row = { event: string } & Record<string, string | number | boolean>;
export type Print = (row: Row) => void;

/** In a table, each kind of event has a line with the names of its columns before its first row. */
export function printer(json: boolean): Print {
  if (json) return (row) => console.log(JSON.stringify(row));
  const seen = new Set<string>();
  return (row) => {
    const names = Object.keys(row);
    const line = (cells: unknown[]) =>
      cells
        .map((cell, at) => String(cell).padEnd(names[at]!.endsWith("time") ? 30 : 11))
        .join(" ")
        .trimEnd();
    if (!seen.has(row.event)) console.log(line(names));
    seen.add(row.event);
    console.log(line(Object.values(row)));
  };
}

/** What is printed of an event of a stream. */
export function rows(endpoint: string, event: Event): Row[] {
  switch (event.$case) {
    case "subscriptionResult": {
      const { tapeId, statuses } = event.value;
      const refused = statuses.filter(({ code }) => code !== SymbolStatusCode.SUBSCRIBED);
      return [
        { event: "connected", endpoint, tape_id: tapeId },
        ...refused.map(({ symbol, message }) => ({ event: "refused", symbol, message })),
      ];
    }
    case "tick": {
      const { symbol, sequence, ltp, time, quote, snapshot } = event.value;
      return [
        {
          event: "tick",
          symbol,
          sequence: Number(sequence),
          ltp,
          time: formatTime(time!),
          bid: Number(quote?.bidNanos ?? 0n) / 1e9,
          ask: Number(quote?.askNanos ?? 0n) / 1e9,
          snapshot,
        },
      ];
    }
    case "gap": {
      const { symbol, firstSequence: first, lastSequence: last } = event.value;
      return [{ event: "gap", symbol, first_sequence: Number(first), last_sequence: Number(last) }];
    }
    case "caughtUp":
      return [{ event: "caught_up", symbol: event.value.symbol, sequence: Number(event.value.sequence) }];
    default:
      return [];
  }
}

/** RFC 3339 in UTC. A Date holds milliseconds, so the nanoseconds are written separately. */
export function formatTime({ seconds, nanos }: Timestamp): string {
  const whole = new Date(Number(seconds) * 1_000).toISOString().slice(0, 19);
  return `${whole}.${String(nanos).padStart(9, "0")}Z`;
}
