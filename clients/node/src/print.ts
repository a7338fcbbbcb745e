// What the program prints: a table in columns, or one JSON object a line.

import type { Timestamp } from "./generated/google/protobuf/timestamp.js";

export type Event = { event: string } & Record<string, string | number | boolean>;
export type Print = (event: Event) => void;

/** In a table, each kind of event has a line with the names of its columns before its first row. */
export function printer(json: boolean): Print {
  if (json) return (event) => console.log(JSON.stringify(event));
  const seen = new Set<string>();
  return (event) => {
    const names = Object.keys(event);
    const row = (cells: unknown[]) =>
      cells
        .map((cell, at) => String(cell).padEnd(names[at]!.endsWith("time") ? 30 : 11))
        .join(" ")
        .trimEnd();
    if (!seen.has(event.event)) console.log(row(names));
    seen.add(event.event);
    console.log(row(Object.values(event)));
  };
}

/** RFC 3339 in UTC. A Date holds milliseconds, so the nanoseconds are written separately. */
export function formatTime({ seconds, nanos }: Timestamp): string {
  const whole = new Date(Number(seconds) * 1_000).toISOString().slice(0, 19);
  return `${whole}.${String(nanos).padStart(9, "0")}Z`;
}
