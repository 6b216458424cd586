// Who gives way to whom, from places in shared memory; and for how long, from times that the test says.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Courtesy } from "../../../../src/inference/engine/giving-way.js";
import { EngineLoads, mayGiveWay, type LoadPlace } from "../../../../src/inference/protocol/engine-loads.js";

function enrolled(loads: EngineLoads, threads = 1): LoadPlace {
  const place = loads.enrol(threads);
  assert.ok(place !== null);
  return place;
}

test("an engine with much to do gives way to one with little, not to none, not to its like, and not the other way round", () => {
  const loads = new EngineLoads(2);
  const [busy, other] = [enrolled(loads), enrolled(loads)];
  busy.set(40);
  assert.equal(mayGiveWay(busy.shared), false, "the other one has nothing to do");
  other.set(1);
  assert.equal(mayGiveWay(busy.shared), true);
  assert.equal(mayGiveWay(other.shared), false);
  other.set(4);
  assert.equal(mayGiveWay(busy.shared), true);
  other.set(5);
  assert.equal(mayGiveWay(busy.shared), false, "that is much too");
  other.set(2);
  busy.set(4);
  assert.equal(mayGiveWay(busy.shared), false, "it has little itself");
});

test("nobody gives way where there are cores for all engines and the main thread", () => {
  const loads = new EngineLoads(4);
  const [busy, light] = [enrolled(loads), enrolled(loads, 2)];
  busy.set(40);
  light.set(1);
  assert.equal(mayGiveWay(busy.shared), false);
  const third = enrolled(loads);
  assert.equal(mayGiveWay(busy.shared), true, "four threads and the main thread on four cores");
  third.leave();
  assert.equal(mayGiveWay(busy.shared), false);
});

test("who has left has nothing to do, and its place goes to the next", () => {
  const loads = new EngineLoads(1);
  const [busy, gone] = [enrolled(loads), enrolled(loads)];
  busy.set(40);
  gone.set(1);
  gone.leave();
  gone.leave();
  assert.equal(mayGiveWay(busy.shared), false);
  const next = enrolled(loads);
  assert.equal(next.shared.place, gone.shared.place);
  next.set(1);
  assert.equal(mayGiveWay(busy.shared), true);
});

test("more engines than places: the last one goes without", () => {
  const loads = new EngineLoads(1);
  for (let i = 0; i < 256; i += 1) enrolled(loads);
  assert.equal(loads.enrol(1), null);
});

test("an engine waits no longer than it has worked", () => {
  const courtesy = new Courtesy();
  assert.equal(courtesy.hasCredit, false);
  courtesy.worked(5);
  courtesy.waited(3);
  assert.equal(courtesy.hasCredit, true);
  courtesy.waited(2);
  assert.equal(courtesy.hasCredit, false);
  courtesy.waited(4);
  courtesy.worked(3);
  assert.equal(courtesy.hasCredit, false, "it had waited for too long");
  courtesy.worked(2);
  assert.equal(courtesy.hasCredit, true);
});

test("work of long ago is no credit for a long pause", () => {
  const courtesy = new Courtesy();
  courtesy.worked(10_000);
  courtesy.waited(21);
  assert.equal(courtesy.hasCredit, false);
});
