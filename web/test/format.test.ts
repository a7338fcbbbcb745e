import assert from "node:assert/strict";
import { test } from "node:test";
import { decimalsOf, formatAge, formatClock, formatDate, formatInterval, formatPercent, formatPrice, formatQuantity, formatSigned, formatSpan, NONE } from "../src/format";
import { formatRfc3339, fromSeconds, parseRfc3339, toSeconds } from "../src/time";
import { ageAt, marks, placeOf } from "../src/time_scale";
import { Spark } from "../src/spark";

test("prices have the decimals of their increment", () => {
  const decimals = [50_000_000n, 10_000_000n, 1_000_000_000n, 25_000_000_000n, 100_000n, 1n, 0n].map(decimalsOf);
  assert.deepEqual(decimals, [2, 2, 0, 0, 4, 9, 2]);
  assert.equal(formatPrice(69_051.06, 2), "69,051.06");
  assert.equal(formatPrice(0.47, 4), "0.4700");
  assert.equal(formatPrice(NaN, 2), NONE);
});

test("changes have a sign unless they are zero as written", () => {
  assert.equal(formatSigned(12.5, 2), "+12.50");
  assert.equal(formatSigned(-0.049, 1), "0.0");
  assert.equal(formatSigned(-3, 0), "\u22123");
  assert.equal(formatPercent(-0.737), "\u22120.74%");
  assert.equal(formatPercent(NaN), NONE);
});

test("quantities are short, and an index has none", () => {
  assert.equal(formatQuantity(4_254_312), "4.254M");
  assert.equal(formatQuantity(0.0004), "0.0004");
  assert.deepEqual([0, NaN].map(formatQuantity), [NONE, NONE]);
});

test("spans, ages and intervals", () => {
  assert.deepEqual([0, 12_340, 245_000, 7_500_000].map(formatSpan), ["0.00 s", "12.3 s", "4 min 05 s", "2 h 05 min"]);
  assert.deepEqual([0.5, 1, 90, 7_300, 86_400 * 800].map(formatAge), ["just now", "1 second ago", "1 minute ago", "2 hours ago", "2 years ago"]);
  assert.deepEqual([1, 15, 60, 900, 3_600, 14_400, 86_400].map(formatInterval), ["1s", "15s", "1m", "15m", "1h", "4h", "1d"]);
});

test("instants keep their nanoseconds", () => {
  for (const text of ["2026-11-20T09:15:00.044724218Z", "1970-01-01T00:00:00Z", "2026-11-20T09:15:00.5Z"]) {
    assert.equal(formatRfc3339(parseRfc3339(text)!), text);
  }
  const instant = parseRfc3339("2026-11-20T09:15:00.044724218Z")!;
  assert.equal(formatClock(instant), "09:15:00.044");
  assert.equal(formatDate(instant), "Fri 20 Nov 2026");
  assert.equal(parseRfc3339("2026-11-20T09:15"), parseRfc3339("2026-11-20T10:15:00+01:00"));
  assert.equal(parseRfc3339("1969-12-31T23:59:59Z"), undefined);
  assert.equal(parseRfc3339("20 November"), undefined);
  assert.equal(toSeconds(fromSeconds(1_700_000_000.5)), 1_700_000_000.5);
});

test("the slider reaches from the present to the beginning", () => {
  const whole = 1_795_000_000;
  assert.equal(ageAt(1, whole), 0);
  assert.ok(Math.abs(ageAt(0, whole) / whole - 1) < 1e-9);
  for (const age of [0, 1, 60, 3_600, 86_400, 31_557_600, whole]) {
    assert.ok(Math.abs(ageAt(placeOf(age, whole), whole) - age) <= age * 1e-6 + 1e-6);
  }
  const places = marks(whole).map(({ place }) => place);
  assert.deepEqual(places, [...places].sort((a, b) => b - a));
  assert.ok(places.every((place) => place > 0 && place < 1));
});

test("a sparkline keeps a quarter of an hour, and fills what came before", () => {
  const spark = new Spark();
  spark.add(9_000, 5);
  spark.add(9_001, 6);
  spark.fill([540, 598, 599, 600], [1, 2, 3, 4]);
  assert.deepEqual(spark.at, [540, 598, 599, 600]);
  assert.deepEqual(spark.prices, [1, 2, 3, 6]);
  spark.add(9_000 + 15 * 60, 7);
  assert.deepEqual(spark.at, [600, 660]);
  assert.ok(Math.abs(spark.trend - 1 / 6) < 1e-9);
});
