// Values live equally long, the oldest goes first, and memory is given back without anybody asking.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { ExpiringMap } from "../../../src/queue/memory/expiring-map.js";

test("values end exactly ttlMs after they were set, and setting again begins anew", () => {
  let nowMs = 0;
  const forgotten: string[] = [];
  const map = new ExpiringMap<number>({
    ttlMs: 10,
    maxSize: 9,
    now: () => nowMs,
    onForgotten: (key) => forgotten.push(key),
  });
  map.set("a", 1);
  nowMs = 5;
  map.set("b", 2);
  map.set("a", 3);
  nowMs = 14;
  assert.deepEqual([map.get("a"), map.get("b"), map.size], [3, 2, 2]);
  nowMs = 15;
  assert.deepEqual([map.get("a"), map.get("b"), map.size], [undefined, undefined, 0]);
  assert.deepEqual(forgotten, ["b", "a"]);
});

test("of too many the oldest goes; what is deleted is not forgotten", () => {
  const forgotten: [string, number][] = [];
  const map = new ExpiringMap<number>({
    ttlMs: 10,
    maxSize: 2,
    now: () => 0,
    onForgotten: (...one) => forgotten.push(one),
  });
  for (const [i, key] of ["a", "b", "c"].entries()) map.set(key, i);
  map.delete("b");
  assert.deepEqual(map.values(), [2]);
  assert.deepEqual(forgotten, [["a", 0]]);
});

test("memory is given back without anybody asking", async () => {
  const forgotten: string[] = [];
  const map = new ExpiringMap<number>({
    ttlMs: 5,
    maxSize: 9,
    now: () => performance.now(),
    onForgotten: (key) => forgotten.push(key),
  });
  map.set("a", 1);
  await sleep(2);
  map.set("b", 2);
  for (let tries = 0; forgotten.length < 2 && tries < 1000; tries += 1) await sleep(10);
  assert.deepEqual(forgotten, ["a", "b"]);
});
