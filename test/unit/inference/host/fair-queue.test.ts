// A fair queue on an event loop whose ticks the test gives.
import assert from "node:assert/strict";
import { test } from "node:test";
import { FairQueue } from "../../../../src/inference/host/fair-queue.js";

function queueByHand() {
  const deferred: (() => void)[] = [];
  const queue = new FairQueue((next) => deferred.push(next));
  const served: string[] = [];
  const enter = (model: string, label: string) => void queue.enter(model).then(() => served.push(label));
  const tick = async () => {
    deferred.shift()?.();
    await Promise.resolve();
  };
  return { enter, tick, served, deferred };
}

test("one request a model and tick; another model's does not wait for a burst", async () => {
  const { enter, tick, served, deferred } = queueByHand();
  for (let i = 0; i < 5; i += 1) enter("busy", `busy ${i}`);
  enter("quiet", "quiet");
  await Promise.resolve();
  assert.deepEqual(served, ["busy 0", "quiet"]);
  await tick();
  enter("quiet", "quiet again");
  await Promise.resolve();
  assert.deepEqual(served, ["busy 0", "quiet", "busy 1", "quiet again"]);
  for (let i = 0; i < 4; i += 1) await tick();
  assert.deepEqual(served.slice(4), ["busy 2", "busy 3", "busy 4"]);
  await tick();
  assert.equal(deferred.length, 0, "no tick is asked for when nobody waits");
});
