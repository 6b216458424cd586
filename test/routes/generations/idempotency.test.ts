// Idempotency-Keys where two nodes start at once: the second waits for the first, takes over when that failed, and when it is never heard of again.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { AppError } from "../../../src/errors.js";
import { MemoryTokenLog } from "../../../src/queue/memory/memory-token-log.js";
import { hashBody, startOnce, type KeyedStart } from "../../../src/routes/generations/idempotency.js";
import { recordOf } from "../../support/contracts/generations-contract.js";

function log(): MemoryTokenLog {
  return new MemoryTokenLog({ ttlMs: 60_000, now: () => performance.now() });
}

function keyed(id: string, start: (id: string) => Promise<void>): KeyedStart {
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

test("a first one whose node died before it had started is started by the second, as the one that the key is bound to", async () => {
  const shared = log();
  const lost = recordOf({ tokens: 1 });
  await shared.bindKey("me", "k", { id: lost.id, bodyHash: "h" });
  const start = (id: string) => shared.create({ ...lost, id });
  const second = await startOnce(shared, keyed("b".repeat(32), start), 2);
  assert.deepEqual(second, { id: lost.id, isReplay: false });
  const third = await startOnce(shared, keyed("c".repeat(32), start), 2);
  assert.deepEqual(third, { id: lost.id, isReplay: true });
});

test("bodies are the same when their JSON is, in any order of keys", () => {
  assert.equal(hashBody({ a: 1, b: { c: [1, 2], d: null } }), hashBody({ b: { d: null, c: [1, 2] }, a: 1 }));
  for (const other of [{ a: 1, b: { c: [2, 1], d: null } }, { a: "1" }, { a: 1 }, [], {}, null, "x"]) {
    assert.notEqual(hashBody({ a: 1, b: { c: [1, 2], d: null } }), hashBody(other));
  }
});
