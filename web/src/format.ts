// Numbers and times as people read them.

import { type Instant, SECOND } from "./time";

const MINUS = "\u2212";
/** Shown where there is no number. */
export const NONE = "\u2013";

const fixed = Array.from({ length: 10 }, (_, digits) =>
  new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits }),
);
const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 4 });
const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });

/** Number of decimals of a price whose increment is `nanos`: 50,000,000 (0.05) has two. */
export function decimalsOf(nanos: bigint): number {
  if (nanos <= 0n) return 2;
  let decimals = 9;
  while (decimals > 0 && nanos % 10n === 0n) {
    nanos /= 10n;
    decimals -= 1;
  }
  return decimals;
}

export function formatPrice(price: number, decimals: number): string {
  return Number.isFinite(price) ? (fixed[decimals] ?? fixed[9]!).format(price) : NONE;
}

/** With a sign; zero, also after rounding, has none. */
export function formatSigned(value: number, decimals: number): string {
  if (!Number.isFinite(value)) return NONE;
  const text = formatPrice(Math.abs(value), decimals);
  if (!/[1-9]/.test(text)) return text;
  return (value < 0 ? MINUS : "+") + text;
}

export function formatPercent(percent: number): string {
  return Number.isFinite(percent) ? `${formatSigned(percent, 2)}%` : NONE;
}

/** Large quantities in thousands, millions and so on. An index has none: its quantities are zero. */
export function formatQuantity(quantity: number): string {
  return Number.isFinite(quantity) && quantity !== 0 ? compact.format(quantity) : NONE;
}

export function formatCount(count: number | bigint): string {
  return whole.format(count);
}

/** `0.00 s`, `12.3 s`, `4 min 05 s`. */
export function formatSpan(millis: number): string {
  const seconds = millis / 1000;
  if (seconds < 10) return `${seconds.toFixed(2)} s`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const rest = Math.floor(seconds % 60).toString().padStart(2, "0");
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes} min ${rest} s` : `${Math.floor(minutes / 60)} h ${(minutes % 60).toString().padStart(2, "0")} min`;
}

const AGES: [seconds: number, one: string, many: string][] = [
  [365.25 * 86_400, "year", "years"],
  [30.44 * 86_400, "month", "months"],
  [86_400, "day", "days"],
  [3_600, "hour", "hours"],
  [60, "minute", "minutes"],
  [1, "second", "seconds"],
];

/** How long ago: `3 hours ago`. */
export function formatAge(seconds: number): string {
  for (const [unit, one, many] of AGES) {
    const count = Math.floor(seconds / unit);
    if (count >= 1) return `${count} ${count === 1 ? one : many} ago`;
  }
  return "just now";
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/** `Fri 20 Nov 2026`. */
export function formatDate(instant: Instant): string {
  const date = new Date(Number(instant / SECOND) * 1000);
  return `${DAYS[date.getUTCDay()]} ${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]} ${date.getUTCFullYear()}`;
}

/** `09:15:00.044`. */
export function formatClock(instant: Instant, withMillis = true): string {
  const text = new Date(Number(instant / 1_000_000n)).toISOString();
  return text.slice(11, withMillis ? 23 : 19);
}

/** `1s`, `15m`, `4h`, `1d`. */
export function formatInterval(seconds: number): string {
  if (seconds % 86_400 === 0) return `${seconds / 86_400}d`;
  if (seconds % 3_600 === 0) return `${seconds / 3_600}h`;
  if (seconds % 60 === 0) return `${seconds / 60}m`;
  return `${seconds}s`;
}
