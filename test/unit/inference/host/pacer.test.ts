// A pacer on an event loop whose ticks the test gives.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Pacer } from "../../../../src/inference/host/pacer.js";

function pacerByHand() {
  const deferred: (() => void)[] = [];
  const handedOn: string[] = [];
  const pacer = new Pacer<string>({
    handOn: (receiver, value) => handedOn.push(`${receiver}${value}`),
    sizeOf: (value) => (value === "end" ? 3 : 1),
    sizePerTick: 4,
    defer: (next) => deferred.push(next),
  });
  const tick = () => {
    handedOn.splice(0);
    deferred.shift()?.();
  };
  return { pacer, handedOn, tick, deferred };
}

test("a tick hands on as much as it has room for, in order, and the next ticks the rest", () => {
  const { pacer, handedOn, tick, deferred } = pacerByHand();
  for (const receiver of [1, 2, 3]) pacer.push(receiver, "a");
  pacer.push(4, "end");
  pacer.push(5, "a");
  assert.deepEqual(handedOn, ["1a", "2a", "3a"], "an end is too much, and 5 does not overtake it");
  tick();
  assert.deepEqual(handedOn, ["4end", "5a"]);
  tick();
  assert.deepEqual(handedOn, []);
  assert.equal(deferred.length, 0, "no tick is asked for when nothing waits");
});

test("what waits for one receiver goes on together, in order, and counts as its largest", () => {
  const { pacer, handedOn, tick } = pacerByHand();
  for (const receiver of [1, 2, 3, 4, 5, 6]) pacer.push(receiver, "a");
  for (const receiver of [1, 5, 6]) pacer.push(receiver, "b");
  pacer.push(6, "end");
  assert.deepEqual(handedOn, ["1a", "2a", "3a", "4a"]);
  tick();
  assert.deepEqual(handedOn, ["5a", "5b", "6a", "6b", "6end"]);
  tick();
  assert.deepEqual(handedOn, ["1b"], "it came after them");
});

test("what is too large for any tick has one of its own", () => {
  const { pacer, handedOn, tick } = pacerByHand();
  pacer.push(1, "a");
  pacer.push(2, "end");
  pacer.push(3, "end");
  assert.deepEqual(handedOn, ["1a", "2end"]);
  tick();
  assert.deepEqual(handedOn, ["3end"]);
});

test("flushing hands on all that waits", () => {
  const { pacer, handedOn, tick } = pacerByHand();
  for (const receiver of [1, 2, 3]) pacer.push(receiver, "end");
  pacer.flush();
  assert.deepEqual(handedOn, ["1end", "2end", "3end"]);
  tick();
  assert.deepEqual(handedOn, []);
});
