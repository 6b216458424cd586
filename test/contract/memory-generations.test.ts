// Generations of one process keep the contract, and report what ended and why.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { AppError } from "../../src/errors.js";
import type { Generate } from "../../src/generation.js";
import { ModelAdmission } from "../../src/queue/admission.js";
import { MemoryGenerations } from "../../src/queue/memory/memory-generations.js";
import { MemoryQueue } from "../../src/queue/memory/memory-queue.js";
import { MemoryTokenLog } from "../../src/queue/memory/memory-token-log.js";
import type { GenerationStatus } from "../../src/queue/log/token-log.js";
import {
  recordOf,
  Script,
  testGenerationsContract,
  type GenerationsLimits,
} from "../support/contracts/generations-contract.js";

function build(generate: Generate, limits: GenerationsLimits) {
  const now = () => performance.now();
  const queue = new MemoryQueue(generate, new ModelAdmission(limits, now, () => undefined));
  const ended: GenerationStatus[] = [];
  const failed: AppError[] = [];
  const log = new MemoryTokenLog({ ttlMs: limits.ttlMs, now });
  const generations = new MemoryGenerations(queue, log, {
    drainTimeoutMs: limits.drainTimeoutMs,
    onEnded: (status) => void ended.push(status),
    onFailed: (error) => void failed.push(error),
  });
  return { generations, queue, ended, failed, dispose: () => generations.close() };
}

testGenerationsContract("MemoryGenerations", (generate, limits) => Promise.resolve(build(generate, limits)));

const limits = { maxQueuedRequests: 100, maxQueuedTokens: 1000, ttlMs: 60_000, drainTimeoutMs: 50 };

test("each end is told once, with its terminal event; the cause of a fault stays inside", async () => {
  const { generations, ended, failed, dispose } = build(new Script().generate, { ...limits, drainTimeoutMs: 10_000 });
  const records = [recordOf({ tokens: 2 }), recordOf({ tokens: 1, failure: "crash" }), recordOf({ tokens: 10_000 })];
  for (const record of records) await generations.start(record);
  await generations.cancel(records[2]!.id);
  await dispose();
  const told = Object.fromEntries(ended.map(({ record, terminal }) => [record.id, terminal]));
  assert.equal(ended.length, 3);
  assert.deepEqual(
    records.map(({ id }) => told[id]?.type),
    ["end", "failure", "failure"],
  );
  const fault = failed.find(({ kind }) => kind === "internal");
  assert.match(String(fault?.cause), /secret detail/u);
  assert.ok(!JSON.stringify(ended).includes("secret detail"));
});

test("an event that comes after a cancel in the queue is not kept, and the place is freed", async () => {
  let release = (): void => undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  async function* deaf() {
    await gate;
    for (let seq = 1; ; seq += 1) yield { type: "token", seq, index: 0, id: 1, text: "x", special: false } as const;
  }
  const { generations, queue, ended } = build(deaf, limits);
  const record = recordOf({ tokens: 1 });
  await generations.start(record);
  assert.equal(await generations.cancel(record.id), true);
  release();
  await generations.close();
  assert.deepEqual(await queue.depth(), { queuedRequests: 0, queuedTokens: 0, running: 0 });
  assert.deepEqual([ended.length, ended[0]?.lastSeq, ended[0]?.terminal?.type], [1, 1, "failure"]);
});

test("close ends what still runs after the time to drain, and its followers hear why", async () => {
  const { generations, queue } = build(new Script().generate, limits);
  const record = recordOf({ tokens: 1_000_000 });
  await generations.start(record);
  const reading = (async () => {
    let last;
    for await (const entry of generations.follow(record.id, 0, new AbortController().signal)) last = entry;
    return last;
  })();
  await sleep(10);
  await generations.close();
  const last = await reading;
  assert.ok(last?.event.type === "failure" && last.event.kind === "unavailable");
  assert.deepEqual(await queue.depth(), { queuedRequests: 0, queuedTokens: 0, running: 0 });
});
