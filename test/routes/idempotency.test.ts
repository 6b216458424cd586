// Idempotency-Keys where two nodes start at once: the second waits for the first, takes over when that failed, and gives up in time.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { AppError } from "../../src/errors.js";
import { MemoryTokenLog } from "../../src/queue/memory-token-log.js";
import { bodyHash, startOnce, type KeyedStart } from "../../src/routes/idempotency.js";
import { recordOf } from "../support/generations-contract.js";

function log(): MemoryTokenLog {
  return new MemoryTokenLog({ ttlMs: 60_000, now: () => performance.now() });
}

function keyed(id: string, start: () => Promise<void>): KeyedStart {
  return { owner: "me", key: "k", bodyHash: "h", id, start };
}

test("whoever comes second waits until the first has started, and gets its generation", async () => {
  const shared = log();
  const record = recordOf({ tokens: 1 });
  const slow = async () => {
    await sleep(120);
    await shared.create(record);
  };
  const first = startOnce(shared, keyed(record.id, slow));
  const second = startOnce(
    shared,
    keyed("b".repeat(32), () => assert.fail("started twice")),
  );
  assert.deepEqual(await first, { id: record.id, isReplay: false });
  assert.deepEqual(await second, { id: record.id, isReplay: true });
});

test("when the first fails, the second starts", async () => {
  const shared = log();
  const record = recordOf({ tokens: 1 });
  const failing = async () => {
    await sleep(80);
    throw new AppError("overloaded", "the queue is full");
  };
  const first = startOnce(shared, keyed("a".repeat(32), failing));
  const second = startOnce(
    shared,
    keyed(record.id, () => shared.create(record)),
  );
  await assert.rejects(first, /queue is full/u);
  assert.deepEqual(await second, { id: record.id, isReplay: false });
});

test("a first one that is never heard of again is a 409 that says when to come back", async () => {
  const shared = log();
  await shared.bindKey("me", "k", { id: "a".repeat(32), bodyHash: "h" });
  const second = startOnce(
    shared,
    keyed("b".repeat(32), () => assert.fail("started")),
    2,
  );
  await assert.rejects(
    second,
    (error) => error instanceof AppError && error.kind === "conflict" && error.retryAfterSeconds === 1,
  );
});

test("bodies are the same when their JSON is, in any order of keys", () => {
  assert.equal(bodyHash({ a: 1, b: { c: [1, 2], d: null } }), bodyHash({ b: { d: null, c: [1, 2] }, a: 1 }));
  for (const other of [{ a: 1, b: { c: [2, 1], d: null } }, { a: "1" }, { a: 1 }, [], {}, null, "x"]) {
    assert.notEqual(bodyHash({ a: 1, b: { c: [1, 2], d: null } }), bodyHash(other));
  }
});
