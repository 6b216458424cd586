// Portions on an event loop that the test turns by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Portions } from "../../../../src/inference/host/portions.js";

function portionsByHand() {
  const deferred: (() => void)[] = [];
  const taken: string[] = [];
  const portions = new Portions<string>({
    take: (receiver, value) => taken.push(`${receiver}${value}`),
    sizeOf: (value) => (value === "end" ? 3 : 1),
    portion: 4,
    defer: (next) => deferred.push(next),
  });
  const turn = () => {
    taken.splice(0);
    deferred.shift()?.();
  };
  return { portions, taken, turn, deferred };
}

test("a turn takes as much as a portion holds, in order, and the next turns take the rest", () => {
  const { portions, taken, turn, deferred } = portionsByHand();
  for (const receiver of [1, 2, 3]) portions.push(receiver, "a");
  portions.push(4, "end");
  portions.push(5, "a");
  assert.deepEqual(taken, ["1a", "2a", "3a"], "an end is too much, and 5 does not overtake it");
  turn();
  assert.deepEqual(taken, ["4end", "5a"]);
  turn();
  assert.deepEqual(taken, []);
  assert.equal(deferred.length, 0, "nothing turns when nothing waits");
});

test("what waits for one receiver goes on together, in order, and counts as its largest", () => {
  const { portions, taken, turn } = portionsByHand();
  for (const receiver of [1, 2, 3, 4, 5, 6]) portions.push(receiver, "a");
  for (const receiver of [1, 5, 6]) portions.push(receiver, "b");
  portions.push(6, "end");
  assert.deepEqual(taken, ["1a", "2a", "3a", "4a"]);
  turn();
  assert.deepEqual(taken, ["5a", "5b", "6a", "6b", "6end"]);
  turn();
  assert.deepEqual(taken, ["1b"], "it came after them");
});

test("what is larger than a portion has a turn of its own", () => {
  const { portions, taken, turn } = portionsByHand();
  portions.push(1, "a");
  portions.push(2, "end");
  portions.push(3, "end");
  assert.deepEqual(taken, ["1a", "2end"]);
  turn();
  assert.deepEqual(taken, ["3end"]);
});

test("flushing hands on all that waits", () => {
  const { portions, taken, turn } = portionsByHand();
  for (const receiver of [1, 2, 3]) portions.push(receiver, "end");
  portions.flush();
  assert.deepEqual(taken, ["1end", "2end", "3end"]);
  turn();
  assert.deepEqual(taken, []);
});
