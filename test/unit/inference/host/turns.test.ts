// Turns on an event loop that the test turns by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Turns } from "../../../../src/inference/host/turns.js";

function turnsByHand() {
  const deferred: (() => void)[] = [];
  const turns = new Turns((next) => deferred.push(next));
  const served: string[] = [];
  const take = (model: string, label: string) => void turns.take(model).then(() => served.push(label));
  const turn = async () => {
    deferred.shift()?.();
    await Promise.resolve();
  };
  return { take, turn, served, deferred };
}

test("one request a model and turn; another model's does not wait for a burst", async () => {
  const { take, turn, served, deferred } = turnsByHand();
  for (let i = 0; i < 5; i += 1) take("busy", `busy ${i}`);
  take("quiet", "quiet");
  await Promise.resolve();
  assert.deepEqual(served, ["busy 0", "quiet"]);
  await turn();
  take("quiet", "quiet again");
  await Promise.resolve();
  assert.deepEqual(served, ["busy 0", "quiet", "busy 1", "quiet again"]);
  for (let i = 0; i < 4; i += 1) await turn();
  assert.deepEqual(served.slice(4), ["busy 2", "busy 3", "busy 4"]);
  await turn();
  assert.equal(deferred.length, 0, "nothing turns when nobody waits");
});
