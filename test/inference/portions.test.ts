// Portions on an event loop that the test turns by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Portions } from "../../src/inference/portions.js";

function portionsByHand() {
  const deferred: (() => void)[] = [];
  const taken: number[] = [];
  const portions = new Portions<number>({
    take: (value) => taken.push(value),
    sizeOf: (value) => value,
    portion: 10,
    defer: (next) => deferred.push(next),
  });
  const turn = () => deferred.shift()?.();
  return { portions, taken, turn, deferred };
}

test("a turn takes as much as a portion holds, in order, and the next turns take the rest", () => {
  const { portions, taken, turn, deferred } = portionsByHand();
  for (const size of [4, 5, 3, 1, 7, 2]) portions.push(size);
  assert.deepEqual(taken, [4, 5], "3 is too much, and 1 does not overtake it");
  turn();
  assert.deepEqual(taken, [4, 5, 3, 1]);
  turn();
  assert.deepEqual(taken, [4, 5, 3, 1, 7, 2]);
  turn();
  assert.equal(deferred.length, 0, "nothing turns when nothing waits");
});

test("one value larger than a portion has a turn of its own", () => {
  const { portions, taken, turn } = portionsByHand();
  for (const size of [30, 1, 30]) portions.push(size);
  assert.deepEqual(taken, [30]);
  turn();
  assert.deepEqual(taken, [30, 1]);
  turn();
  assert.deepEqual(taken, [30, 1, 30]);
});

test("flushing hands on all that waits", () => {
  const { portions, taken, turn } = portionsByHand();
  for (const size of [8, 8, 8]) portions.push(size);
  portions.flush();
  assert.deepEqual(taken, [8, 8, 8]);
  turn();
  assert.deepEqual(taken, [8, 8, 8]);
});
