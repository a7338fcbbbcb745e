import assert from "node:assert/strict";
import { test } from "node:test";
import { type Address, COLUMNS, formatAddress, INTERVALS, parseAddress, SPEEDS } from "../src/address";
import { seeded } from "./random";

const ORIGIN = "http://board.test:50051";

test("an empty address has the defaults, and they make an empty address", () => {
  const address = parseAddress("", ORIGIN);
  assert.deepEqual(address, {
    symbols: undefined, selected: undefined, interval: 60, sort: undefined, time: undefined, speed: 1, endpoints: [ORIGIN],
  });
  assert.equal(formatAddress(address, ORIGIN), "");
});

test("any address comes back as it was", () => {
  const random = seeded(1);
  const names = ["AAPL", "BTC-USD", "M&M", "A/B", "X:Y^Z=1", "BRK.B", "^GSPC", "a_b"];
  for (let round = 0; round < 500; round++) {
    const symbols = names.filter(() => random(2) === 0);
    const address: Address = {
      symbols: random(5) === 0 ? "*" : symbols.length > 0 ? symbols : undefined,
      selected: random(2) === 0 ? names[random(names.length)] : undefined,
      interval: INTERVALS[random(INTERVALS.length)]!,
      sort: random(2) === 0 ? { column: COLUMNS[random(COLUMNS.length)]!, descending: random(2) === 0 } : undefined,
      time: random(2) === 0 ? BigInt(random(2 ** 31)) * 1_000_000_007n : undefined,
      speed: SPEEDS[random(SPEEDS.length)]!,
      endpoints: random(2) === 0 ? [ORIGIN] : ["http://a:1", "https://b.test:2/path"],
    };
    assert.deepEqual(parseAddress(formatAddress(address, ORIGIN), ORIGIN), address);
  }
});

test("an address that people can read", () => {
  const query = "?symbols=BTC-USD,AAPL&selected=AAPL&interval=15m&sort=-percent&time=2026-11-20T09:15:00.044724218Z&speed=100";
  assert.equal(formatAddress(parseAddress(query, ORIGIN), ORIGIN), query);
});

test("mistakes in a link are taken as absent", () => {
  const query = "?symbols=,,&interval=7m&sort=-price&time=yesterday&speed=7&endpoints=javascript:alert(1),not a url&selected=";
  assert.deepEqual(parseAddress(query, ORIGIN), parseAddress("", ORIGIN));
  assert.deepEqual(parseAddress("?symbols=A,A,B,A", ORIGIN).symbols, ["A", "B"]);
});
