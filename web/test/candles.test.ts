import assert from "node:assert/strict";
import { test } from "node:test";
import { type Candle, CandleStore, extend, ladder, openTime, type Trade } from "../src/candles";
import { seeded } from "./random";

function trades(count: number, seed: number): Trade[] {
  const random = seeded(seed);
  let seconds = 86_400 * 3 + 17.25;
  return Array.from({ length: count }, (_, index) => {
    seconds += random(2_000) / 1_000;
    return { seconds, sequence: 500n + BigInt(index), price: 100 + random(1_000) / 10, quantity: random(50) };
  });
}

function fold(trades: Trade[], interval: number): Candle[] {
  const candles: Candle[] = [];
  for (const { seconds, price, quantity } of trades) {
    const time = openTime(seconds, interval);
    const part = { open: price, high: price, low: price, close: price, volume: quantity };
    const last = candles[candles.length - 1];
    if (last?.time === time) extend(last, part);
    else candles.push({ time, ...part });
  }
  return candles;
}

for (const interval of [1, 15, 60, 900]) {
  test(`candles of ${interval} s that are folded live are those of history`, () => {
    const all = trades(3_000, interval);
    const store = new CandleStore(interval, 0.1);
    // The page is opened in the middle of a candle, at the 1,000th trade: history has what came before.
    const opened = all[999]!;
    const fill = (now: Trade, known: Trade[]) => {
      for (const part of store.missing(0, now.seconds + interval, now.seconds)) {
        store.add(part, fold(known, interval).filter(({ time }) => time >= part.start && time < part.end));
      }
      store.setForming(fold(known, interval).at(-1)!, now.sequence);
    };
    store.take(opened);
    fill(opened, all.slice(0, 1_000));
    let asked = 0;
    for (const [index, trade] of all.entries()) {
      if (index < 1_000) continue;
      store.take(trade);
      asked += store.needsForming ? 1 : 0;
    }
    const last = all.at(-1)!;
    assert.equal(asked, 0);
    assert.deepEqual(round(store.between(0, last.seconds + interval, last.seconds)), round(fold(all, interval)));
  });
}

test("a trade that was left out makes the store ask for history", () => {
  const [first, second, third] = trades(3, 1) as [Trade, Trade, Trade];
  const store = new CandleStore(86_400, 0.1);
  store.take(first);
  assert.equal(store.needsForming, true);
  store.setForming(fold([first], 86_400)[0]!, first.sequence);
  assert.equal(store.needsForming, false);
  store.take(third);
  assert.equal(store.needsForming, true);
  store.setForming(fold([first, second], 86_400)[0]!, second.sequence);
  assert.equal(store.needsForming, true, "an answer from before the newest trade does not do");
  store.setForming(fold([first, second, third], 86_400)[0]!, third.sequence);
  assert.deepEqual(store.between(0, 1e9, third.seconds), fold([first, second, third], 86_400));
});

test("candles after the instant that is shown are not shown", () => {
  const all = trades(2_000, 5);
  const store = new CandleStore(15, 0.1);
  const end = all.at(-1)!.seconds;
  for (const part of store.missing(0, end, end)) {
    store.add(part, fold(all, 15).filter(({ time }) => time >= part.start && time < part.end));
  }
  const instant = all[1_200]!.seconds;
  const shown = store.between(0, instant + 15, instant);
  assert.deepEqual(shown, fold(all, 15).filter(({ time }) => time + 15 <= instant));
});

test("the candle of an instant is shown as far as it was then, though history has all of it", () => {
  const all = trades(2_000, 6);
  const store = new CandleStore(60, 0.1);
  const end = all.at(-1)!.seconds;
  for (const part of store.missing(0, end, end)) {
    store.add(part, fold(all, 60).filter(({ time }) => time >= part.start && time < part.end));
  }
  for (const count of [1_200, 700, 701, 1_500]) {
    const then = all.slice(0, count);
    const instant = then.at(-1)!;
    store.leaveTime();
    store.setForming(fold(then, 60).at(-1)!, instant.sequence);
    assert.deepEqual(store.between(0, end, instant.seconds), fold(then, 60));
  }
});

test("the ladder covers the time up to the last second, in few candles", () => {
  const random = seeded(3);
  for (let round = 0; round < 2_000; round++) {
    const interval = [1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400][random(9)]!;
    const until = random(2_000_000_000) + random(1_000) / 1_000;
    const start = openTime(until, interval);
    const { spans, rest } = ladder(start, until);
    let at = start;
    let candles = 0;
    for (const span of spans) {
      assert.equal(span.start, at);
      assert.equal(span.start % span.interval, 0);
      assert.equal((span.end - span.start) % span.interval, 0);
      candles += (span.end - span.start) / span.interval;
      at = span.end;
    }
    assert.equal(rest, at);
    assert.ok(until - rest < 1 && rest <= until, `${rest} is not within a second of ${until}`);
    assert.ok(candles <= 6 + 16 + 15 + 60, `${candles} candles`);
  }
});

test("history is fetched once, also when it is dragged about", () => {
  const random = seeded(9);
  const store = new CandleStore(60, 0.1);
  const now = 1_700_000_030;
  const fetched = new Map<number, number>();
  for (let round = 0; round < 300; round++) {
    const end = now - random(400) * 600;
    for (const part of store.missing(end - 30_000, end, now)) {
      fetched.set(part.page, (fetched.get(part.page) ?? 0) + 1);
      store.add(part, [{ time: part.start, open: 1, high: 1, low: 1, close: 1, volume: 1 }]);
    }
  }
  assert.ok(fetched.size > 5);
  assert.ok([...fetched.values()].every((times) => times === 1));
});

test("pages far from the view are dropped, those in view never", () => {
  const store = new CandleStore(60, 0.1);
  const length = store.pageLength * 60;
  const now = 1_700_000_000;
  for (let page = 0; page < 200; page++) {
    const start = openTime(now, length) - page * length;
    for (const part of store.missing(start, start + length, now)) store.add(part, []);
    store.dropFar(start, start + length);
    assert.deepEqual(store.missing(start, start + length, now), []);
  }
  const newest = openTime(now, length) - 2 * length;
  assert.equal(store.missing(newest, newest + length, now).length, 1);
});

function round(candles: Candle[]): Candle[] {
  return candles.map((candle) => ({ ...candle, volume: Math.round(candle.volume) }));
}
