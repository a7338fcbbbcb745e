import assert from "node:assert/strict";
import { test } from "node:test";
import { Rotation } from "../src/rotation";

test("the other replica is tried at once, then with a backoff that grows", () => {
  const rotation = new Rotation(["a", "b"], () => 1);
  const tried: [string, number][] = [];
  for (let attempt = 0; attempt < 7; attempt++) {
    const wait = rotation.failed();
    tried.push([rotation.current, wait]);
  }
  assert.deepEqual(tried, [["b", 0], ["a", 50], ["b", 100], ["a", 100], ["b", 200], ["a", 200], ["b", 400]]);
});

test("the backoff is random, has an end, and starts again after a success", () => {
  let share = 0.5;
  const rotation = new Rotation(["a"], () => share);
  assert.equal(rotation.failed(), 25);
  for (let attempt = 0; attempt < 2_000; attempt++) assert.ok(rotation.failed() <= 2_500);
  assert.equal(rotation.failed(), 2_500);
  share = 0;
  assert.equal(rotation.failed(), 0);
  share = 0.5;
  rotation.succeeded();
  assert.equal(rotation.failed(), 25);
});

test("a replica of another tape is passed over until all are of another tape", () => {
  const rotation = new Rotation(["a", "b", "c"], () => 0);
  rotation.failed();
  assert.equal(rotation.current, "b");
  assert.equal(rotation.skipForeign("b"), true);
  assert.equal(rotation.current, "c");
  rotation.advance();
  assert.equal(rotation.current, "a");
  rotation.advance();
  assert.equal(rotation.current, "c", "b is passed over");
  assert.equal(rotation.skipForeign("c"), true);
  assert.equal(rotation.skipForeign("a"), false, "now the other tape is taken");
  assert.equal(rotation.isForeign("b"), false);
});
