// Instants of the tape: nanoseconds since the Unix epoch, as a bigint, since a double holds a present-day instant only
// to about a quarter of a microsecond.

import { create } from "@bufbuild/protobuf";
import { type Duration, DurationSchema, type Timestamp, TimestampSchema } from "@bufbuild/protobuf/wkt";

export type Instant = bigint;

export const SECOND = 1_000_000_000n;
export const DAY = 86_400n * SECOND;

export function fromTimestamp(timestamp: Timestamp | undefined): Instant {
  return timestamp ? timestamp.seconds * SECOND + BigInt(timestamp.nanos) : 0n;
}

export function toTimestamp(instant: Instant): Timestamp {
  return create(TimestampSchema, { seconds: instant / SECOND, nanos: Number(instant % SECOND) });
}

export function toDuration(seconds: number): Duration {
  const nanos = fromSeconds(seconds);
  return create(DurationSchema, { seconds: nanos / SECOND, nanos: Number(nanos % SECOND) });
}

export function durationSeconds(duration: Duration | undefined): number {
  return duration ? Number(duration.seconds) + duration.nanos / 1e9 : 0;
}

export function toSeconds(instant: Instant): number {
  return Number(instant / SECOND) + Number(instant % SECOND) / 1e9;
}

export function fromSeconds(seconds: number): Instant {
  const whole = Math.floor(seconds);
  return BigInt(whole) * SECOND + BigInt(Math.round((seconds - whole) * 1e9));
}

/** RFC 3339 in UTC, with as many digits of the second as it needs. */
export function formatRfc3339(instant: Instant): string {
  const nanos = (instant % SECOND).toString().padStart(9, "0").replace(/0+$/, "");
  const seconds = new Date(Number(instant / SECOND) * 1000).toISOString().slice(0, 19);
  return `${seconds}${nanos && `.${nanos}`}Z`;
}

/** Reads RFC 3339, and the value of a date box, which has no zone and means UTC here. Undefined before 1970 or if malformed. */
export function parseRfc3339(text: string): Instant | undefined {
  const parts = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?(Z|[+-]\d\d:\d\d)?$/.exec(text.trim());
  if (!parts) return undefined;
  const [, date, minutes = "00:00", seconds = "00", fraction = "", zone = "Z"] = parts;
  const millis = Date.parse(`${date}T${minutes}:${seconds}${zone}`);
  if (Number.isNaN(millis) || millis < 0) return undefined;
  return BigInt(millis) * 1_000_000n + BigInt(fraction.padEnd(9, "0"));
}
