import assert from "node:assert/strict";
import { test } from "node:test";
import { Continuity } from "../src/continuity";
import { seeded } from "./random";

test("the first tick of a symbol begins its count", () => {
  const continuity = new Continuity();
  assert.equal(continuity.take("A", 41n, 0n), true);
  assert.deepEqual([continuity.received, continuity.conflated, continuity.lost], [1, 0, 0]);
  assert.equal(continuity.position("A"), 41n);
});

test("ticks that the server counted are conflated and not lost", () => {
  const continuity = new Continuity();
  continuity.take("A", 10n, 0n);
  continuity.take("A", 15n, 4n);
  assert.deepEqual([continuity.conflated, continuity.lost, continuity.gaps], [4, 0, 0]);
});

test("ticks that nobody counted are lost", () => {
  const continuity = new Continuity();
  continuity.take("A", 10n, 0n);
  continuity.take("A", 15n, 1n);
  assert.deepEqual([continuity.conflated, continuity.lost, continuity.gaps], [1, 3, 1]);
});

test("a gap that the server reports is lost, and counted once", () => {
  const continuity = new Continuity();
  continuity.take("A", 10n, 0n);
  continuity.gap("A", 11n, 20n);
  continuity.take("A", 21n, 0n);
  continuity.gap("A", 15n, 21n);
  assert.deepEqual([continuity.received, continuity.lost, continuity.gaps], [2, 10, 1]);
});

test("two streams that overlap give every tick once", () => {
  const random = seeded(7);
  for (let round = 0; round < 200; round++) {
    const continuity = new Continuity();
    const head = 1_000n + BigInt(random(50));
    continuity.take("A", 1_000n, 0n);
    // Both streams go to `head` with conflation of their own; their ticks are mixed.
    const streams = [ticks(1_000n, head, random), ticks(1_000n, head, random)];
    let newest = 1_000n;
    while (streams.some((stream) => stream.length > 0)) {
      const stream = streams[random(2)]!;
      const next = stream.shift();
      if (!next) continue;
      assert.equal(continuity.take("A", next.sequence, next.conflated), next.sequence > newest);
      if (next.sequence > newest) newest = next.sequence;
    }
    assert.equal(continuity.lost, 0);
    assert.equal(BigInt(continuity.received + continuity.conflated), head - 999n);
  }
});

test("what a faulty server leaves out is found to the tick", () => {
  const random = seeded(8);
  for (let round = 0; round < 200; round++) {
    const continuity = new Continuity();
    continuity.take("A", 0n, 0n);
    let left = 0n;
    const sent = ticks(0n, 100n, random);
    const last = sent[sent.length - 1]!;
    for (const tick of sent) {
      if (tick !== last && random(4) === 0) left += tick.conflated + 1n;
      else continuity.take("A", tick.sequence, tick.conflated);
    }
    assert.equal(BigInt(continuity.lost), left);
  }
});

/** The ticks after one sequence up to another, conflated at random. */
function ticks(after: bigint, to: bigint, random: (below: number) => number) {
  const sent: { sequence: bigint; conflated: bigint }[] = [];
  let at = after;
  while (at < to) {
    const conflated = BigInt(random(3) === 0 ? random(5) : 0);
    const sequence = at + conflated + 1n > to ? to : at + conflated + 1n;
    sent.push({ sequence, conflated: sequence - at - 1n });
    at = sequence;
  }
  return sent;
}
