// Jobs over a real Redis: lost ones, late ones, those that nobody takes, and a Redis that is away or forgot its scripts.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { AppError } from "../../../src/errors.js";
import { recordOf } from "../../support/contracts/generations.js";
import { patienceMs, queue, Reader, Steps, workersOverRedis } from "../../support/servers/redis-workers.js";
import { withoutRedis } from "../../support/servers/redis.js";
import { until } from "../../support/until.js";

describe("jobs over Redis", { skip: withoutRedis }, () => {
  const { api, worker, prepared, log, whole, redis, client, prefix } = workersOverRedis();

  test("a job that Redis lost is added again", async () => {
    const steps = new Steps();
    const node = await api({ timings: { silenceMs: 300, workerWaitMs: patienceMs } });
    const reader = new Reader(node, prepared());
    await until(async () => (await client().zcard(`${prefix()}:${queue}:prioritized`)) === 1, "the job is there");
    await client().del(...(await client().keys(`${prefix()}:${queue}:*`)));
    await until(async () => (await client().zcard(`${prefix()}:${queue}:prioritized`)) === 1, "it is there again");
    worker(steps, "a");
    assert.equal(await reader.done, null);
    assert.deepEqual(reader.ids, whole(steps));
  });

  test("a job that is lost while it runs goes on behind its tokens", async () => {
    const steps = new Steps();
    steps.holdAt = 4;
    worker(steps, "a");
    const node = await api({ timings: { silenceMs: 300, workerWaitMs: patienceMs } });
    const reader = new Reader(node, prepared());
    await until(() => reader.ids.length === 3, "three tokens");
    await client().del(...(await client().keys(`${prefix()}:${queue}:*`)));
    await until(() => steps.runs.length === 2, "a second run");
    steps.holdAt = Infinity;
    assert.equal(await reader.done, null);
    assert.deepEqual(reader.ids, whole(steps));
    assert.equal(steps.runs[1]?.logged, 3);
  });

  test("a deadline ends what no worker has taken", async () => {
    const node = await api();
    const reader = new Reader(node, prepared({ deadlineAt: Date.now() + 200 }));
    const error = await reader.done;
    assert.ok(error instanceof AppError);
    assert.deepEqual([error.kind, error.message], ["deadline", "the deadline passed before the first token"]);
    assert.deepEqual(await node.node.queue.depth(), { queuedRequests: 0, queuedTokens: 0, running: 0 });
  });

  test("without a worker for long, requests are refused by the model's name", async () => {
    const node = await api({ timings: { silenceMs: 300, workerWaitMs: 100 } });
    await sleep(150);
    const error = await new Reader(node, prepared()).done;
    assert.ok(error instanceof AppError);
    assert.deepEqual([error.kind, error.message], ["unavailable", 'no worker serves model "scripted"']);
    assert.ok((error.retryAfterSeconds ?? 0) >= 1);
    const steps = new Steps();
    worker(steps, "a");
    await until(async () => (await node.node.workers())["scripted"] === 1, "it sees the worker");
    assert.equal(await new Reader(node, prepared()).done, null);
  });

  test("generations nobody follows free their place when they begin, and again when they end", async () => {
    const steps = new Steps();
    steps.holdAt = 3;
    const node = await api();
    await node.node.generations.start(recordOf());
    assert.equal((await node.node.queue.depth()).queuedRequests, 1);
    worker(steps, "a");
    await until(async () => (await node.node.queue.depth()).running === 1, "it runs");
    steps.holdAt = Infinity;
    await until(async () => (await node.node.queue.depth()).running === 0, "it has ended");
  });

  test("Redis away: refused at once, then back by itself; a stream that runs goes on", async () => {
    const steps = new Steps();
    steps.holdAt = 4;
    const survivor = worker(steps, "a");
    const node = await api();
    const reader = new Reader(node, prepared());
    await until(() => reader.ids.length === 3, "three tokens");
    await redis().kill();
    await until(() => !node.node.isUp && !survivor.node.isUp, "it is seen");
    const error = await new Reader(node, prepared()).done;
    assert.ok(error instanceof AppError);
    assert.equal(error.kind, "unavailable");
    assert.ok((error.retryAfterSeconds ?? 0) >= 1);
    await redis().restart();
    steps.holdAt = Infinity;
    assert.equal(await reader.done, null);
    assert.deepEqual(reader.ids, whole(steps));
    assert.equal(reader.ends, 1);
    assert.equal(await new Reader(node, prepared()).done, null);
  });

  test("a generation whose job is refused is refused, and its log ends", async () => {
    const { node } = await api();
    await client().set(`${prefix()}:${queue}:prioritized`, "not a sorted set");
    const refused = prepared();
    const submitted = node.queue.submit(refused, new AbortController().signal);
    await assert.rejects(
      async () => void (await submitted[Symbol.asyncIterator]().next()),
      (error) => error instanceof AppError && error.kind === "unavailable",
    );
    const found = await log().find(refused.id);
    assert.deepEqual(typeof found === "object" && [found.state, found.terminal?.type], ["ended", "failure"]);
    assert.deepEqual(await node.queue.depth(), {
      queuedRequests: 0,
      queuedTokens: 0,
      running: 0,
    });
  });

  test("a Redis that forgot all scripts loses no generation", async () => {
    const steps = new Steps();
    worker(steps, "a");
    const node = await api({ timings: { silenceMs: 300, workerWaitMs: 30_000 } });
    assert.equal(await new Reader(node, prepared()).done, null);
    for (let round = 0; round < 5; round += 1) {
      await client().script("FLUSH");
      const reader = new Reader(node, prepared());
      assert.equal(await reader.done, null);
      assert.deepEqual(reader.ids, whole(steps));
    }
  });

  test("a generation whose job was never added is looked after by whoever is asked for it", async () => {
    const steps = new Steps();
    worker(steps, "a");
    const { node } = await api();
    // As a node leaves it that dies, or loses Redis, between the record and the job.
    const [followed, lookedUp] = [recordOf({ digest: "d".repeat(64) }), recordOf({ digest: "d".repeat(64) })];
    for (const record of [followed, lookedUp]) await log().create(record);
    assert.equal(typeof (await node.generations.find(lookedUp.id)), "object");
    const seqs: number[] = [];
    const signal = AbortSignal.timeout(patienceMs);
    for await (const { seq } of node.generations.follow(followed.id, 0, signal)) seqs.push(seq);
    assert.deepEqual(seqs, [1, 2, 3, 4, 5, 6, 7]);
    await until(async () => {
      const found = await log().find(lookedUp.id);
      return typeof found === "object" && found.state === "ended";
    }, "the other one has ended");
  });
});
