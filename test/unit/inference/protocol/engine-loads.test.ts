// Which engine yields to which, from slots in shared memory; and for how long, from times that the test gives.
import assert from "node:assert/strict";
import { test } from "node:test";
import { YieldBudget } from "../../../../src/inference/engine/yielding.js";
import { EngineLoads, shouldYield, type LoadSlot } from "../../../../src/inference/protocol/engine-loads.js";

function claimSlot(loads: EngineLoads, threads = 1): LoadSlot {
  const slot = loads.claimSlot(threads);
  assert.ok(slot !== null);
  return slot;
}

test("an engine with much to do yields to one with little, not to none, not to its like, and not the other way round", () => {
  const loads = new EngineLoads(2);
  const [busy, other] = [claimSlot(loads), claimSlot(loads)];
  busy.set(40);
  assert.equal(shouldYield(busy.shared), false, "the other one has nothing to do");
  other.set(1);
  assert.equal(shouldYield(busy.shared), true);
  assert.equal(shouldYield(other.shared), false);
  other.set(4);
  assert.equal(shouldYield(busy.shared), true);
  other.set(5);
  assert.equal(shouldYield(busy.shared), false, "that is much too");
  other.set(2);
  busy.set(4);
  assert.equal(shouldYield(busy.shared), false, "it has little itself");
});

test("nobody yields where there are cores for all engines and the main thread", () => {
  const loads = new EngineLoads(4);
  const [busy, light] = [claimSlot(loads), claimSlot(loads, 2)];
  busy.set(40);
  light.set(1);
  assert.equal(shouldYield(busy.shared), false);
  const third = claimSlot(loads);
  assert.equal(shouldYield(busy.shared), true, "four threads and the main thread on four cores");
  third.release();
  assert.equal(shouldYield(busy.shared), false);
});

test("who has left has nothing to do, and its slot goes to the next", () => {
  const loads = new EngineLoads(1);
  const [busy, gone] = [claimSlot(loads), claimSlot(loads)];
  busy.set(40);
  gone.set(1);
  gone.release();
  gone.release();
  assert.equal(shouldYield(busy.shared), false);
  const next = claimSlot(loads);
  assert.equal(next.shared.slot, gone.shared.slot);
  next.set(1);
  assert.equal(shouldYield(busy.shared), true);
});

test("more engines than slots: the last one goes without", () => {
  const loads = new EngineLoads(1);
  for (let i = 0; i < 256; i += 1) claimSlot(loads);
  assert.equal(loads.claimSlot(1), null);
});

test("an engine waits no longer than it has worked", () => {
  const budget = new YieldBudget();
  assert.equal(budget.hasCredit, false);
  budget.addWork(5);
  budget.spend(3);
  assert.equal(budget.hasCredit, true);
  budget.spend(2);
  assert.equal(budget.hasCredit, false);
  budget.spend(4);
  budget.addWork(3);
  assert.equal(budget.hasCredit, false, "it had waited for too long");
  budget.addWork(2);
  assert.equal(budget.hasCredit, true);
});

test("work of long ago is no credit for a long pause", () => {
  const budget = new YieldBudget();
  budget.addWork(10_000);
  budget.spend(21);
  assert.equal(budget.hasCredit, false);
});
