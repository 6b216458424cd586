// Workers over a real Redis: takeover, hand-over, cancelling, fencing, deadlines, lost jobs, stalled workers. The inference is scripted, token by token.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, afterEach, before, describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { GenerationEvent, Prepared, TokenEvent } from "../../../src/generation.js";
import { AppError } from "../../../src/errors.js";
import type { Redis } from "ioredis";
import { connectRedis } from "../../../src/queue/redis/redis.js";
import { RedisTokenLog } from "../../../src/queue/redis/redis-token-log.js";
import { recordOf } from "../../support/contracts/generations.js";
import { metricSum } from "../../support/clients/metrics-text.js";
import { startApi, startWorker, type TestApiOptions, type TestWorkerOptions } from "../../support/servers/nodes.js";
import { RedisServer, withoutRedis } from "../../support/servers/redis.js";

const patience = 20_000;
const queue = "jobs-scripted-dddddddddddd";

async function until(what: string, condition: () => unknown): Promise<void> {
  for (const start = performance.now(); performance.now() - start < patience; await sleep(10)) {
    if (await condition()) return;
  }
  assert.fail(`${what}: not within ${patience} ms`);
}

/** Tokens 10, 20, 30 … up to `length`; each run stops before the seq that holdAt names, until let go. */
class Steps {
  readonly runs: { readonly worker: string; readonly logged: number; readonly signal: AbortSignal }[] = [];
  holdAt = Infinity;
  readonly length: number;

  constructor(length = 6) {
    this.length = length;
  }

  on(worker: string) {
    return (_prepared: Prepared, logged: readonly TokenEvent[], signal: AbortSignal) =>
      this.#run(worker, logged, signal);
  }

  async *#run(worker: string, logged: readonly TokenEvent[], signal: AbortSignal) {
    this.runs.push({ worker, logged: logged.length, signal });
    assert.deepEqual(
      logged.map(({ id }) => id),
      logged.map((_, i) => (i + 1) * 10),
    );
    for (let seq = logged.length + 1; seq <= this.length; seq += 1) {
      while (seq >= this.holdAt && !signal.aborted) await sleep(5);
      signal.throwIfAborted();
      yield { type: "token", seq, index: 0, id: seq * 10, text: "x", special: false } satisfies TokenEvent;
      await sleep(1);
    }
    const usage = { sourceTokens: 3, generatedTokens: this.length };
    const timings = { queueMs: 0, encodeMs: 0, decodeMs: 0, totalMs: 0 };
    yield { type: "end", outputs: [], usage, timings } satisfies GenerationEvent;
  }
}

const readers: Reader[] = [];

class Reader {
  readonly events: GenerationEvent[] = [];
  readonly done: Promise<unknown>;
  readonly abort = new AbortController();

  constructor(api: ReturnType<typeof startApi>, prepared: Prepared) {
    readers.push(this);
    this.done = this.#read(api, prepared).then(
      () => null,
      (error: unknown) => error,
    );
  }

  get ids(): number[] {
    return this.events.flatMap((event) => (event.type === "token" ? [event.id] : []));
  }

  get ends(): number {
    return this.events.filter(({ type }) => type === "end").length;
  }

  async #read(api: ReturnType<typeof startApi>, prepared: Prepared): Promise<void> {
    for await (const event of api.node.queue.submit(prepared, this.abort.signal)) this.events.push(event);
  }
}

describe("workers over Redis", { skip: withoutRedis }, () => {
  let redis: RedisServer;
  let client: Redis;
  let prefix = "";
  const open: (() => Promise<void>)[] = [];
  before(async () => {
    redis = await RedisServer.start({ isDurable: true });
    client = connectRedis(redis.url, { role: "worker" }).client;
  });
  after(async () => {
    client.disconnect();
    await redis.stop();
  });
  afterEach(async () => {
    for (const { abort } of readers.splice(0)) abort.abort(new AppError("cancelled", "the test is over"));
    for (const close of open.splice(0).reverse()) await close();
  });

  const begin = () => {
    prefix = randomBytes(4).toString("hex");
  };
  const api = async (options: Partial<TestApiOptions> = {}) => {
    const started = startApi({ url: redis.url, prefix, ...options });
    open.push(started.close);
    await started.node.untilUp();
    return started;
  };
  const worker = (steps: Steps, name: string, options: Partial<TestWorkerOptions> = {}) => {
    const started = startWorker(steps.on(name), { url: redis.url, prefix, ...options });
    open.push(() => started.close(0));
    return started;
  };
  const prepared = (overrides: Partial<Prepared> = {}): Prepared => ({ ...recordOf().prepared, ...overrides });
  const log = () => new RedisTokenLog({ client, prefix, ttlMs: 60_000 });
  const whole = (steps: Steps) => Array.from({ length: steps.length }, (_, i) => (i + 1) * 10);
  const metric = async ({ metrics }: { metrics: { text(): Promise<string> } }, name: string) =>
    metricSum(await metrics.text(), `seqserve_${name}`, {});

  test("a worker that loses its lock stops, and the next one goes on behind the last token", async () => {
    begin();
    const steps = new Steps();
    steps.holdAt = 4;
    const workers = [worker(steps, "a"), worker(steps, "b")];
    const node = await api();
    const reader = new Reader(node, prepared());
    await until("three tokens", () => reader.ids.length === 3);
    assert.ok((await metric(node, "stream_lag_seconds_count")) > 0);
    const [lock = ""] = await client.keys(`${prefix}:${queue}:*:lock`);
    assert.equal(await client.del(lock), 1);
    await until("the first run is stopped", () => steps.runs[0]?.signal.aborted);
    steps.holdAt = Infinity;
    assert.equal(await reader.done, null);
    assert.deepEqual(reader.ids, whole(steps));
    assert.equal(reader.ends, 1);
    assert.deepEqual(
      steps.runs.map(({ logged }) => logged),
      [0, 3],
    );
    const sum = async (name: string) => (await metric(workers[0]!, name)) + (await metric(workers[1]!, name));
    assert.equal(await sum("job_redeliveries_total"), 1);
    assert.equal(await sum("lock_renew_failures_total"), 1);
  });

  test("a draining worker hands its generation over; nobody notices", async () => {
    begin();
    const steps = new Steps();
    steps.holdAt = 3;
    const first = worker(steps, "a");
    const reader = new Reader(await api(), prepared());
    await until("two tokens", () => reader.ids.length === 2);
    const second = worker(steps, "b");
    await until("the second takes jobs", async () => (await client.smembers(`${prefix}:workers`)).length === 2);
    await first.node.drain(0);
    assert.equal(await metric(first, "handoffs_total"), 1);
    await until("the second has it", () => steps.runs.length === 2);
    steps.holdAt = Infinity;
    assert.equal(await reader.done, null);
    assert.deepEqual(reader.ids, whole(steps));
    assert.deepEqual(
      steps.runs.map(({ worker: name, logged }) => [name, logged]),
      [
        ["a", 0],
        ["b", 2],
      ],
    );
    assert.equal(await metric(second, "job_redeliveries_total"), 0, "handing over is not losing");
    assert.ok((await metric(second, "log_append_seconds_count")) > 0);
  });

  test("a draining worker lets what can end in time end, and takes nothing new", async () => {
    begin();
    const steps = new Steps();
    steps.holdAt = 3;
    const first = worker(steps, "a");
    const node = await api();
    const reader = new Reader(node, prepared());
    await until("two tokens", () => reader.ids.length === 2);
    const drained = first.node.drain(patience);
    // A job that comes while the drain begins may still be fetched, and is given back: this one comes after that.
    await sleep(200);
    const late = new Reader(node, prepared());
    await sleep(100);
    steps.holdAt = Infinity;
    await drained;
    assert.equal(await reader.done, null);
    assert.equal(steps.runs.length, 1);
    assert.equal(await metric(first, "handoffs_total"), 0);
    worker(steps, "b");
    assert.equal(await late.done, null);
    assert.deepEqual(late.ids, whole(steps));
  });

  test("a reader who leaves stops the run; the log ends with one failure", async () => {
    begin();
    const steps = new Steps();
    steps.holdAt = 4;
    worker(steps, "a");
    const node = await api();
    const request = prepared();
    const reader = new Reader(node, request);
    await until("three tokens", () => reader.ids.length === 3);
    reader.abort.abort(new AppError("cancelled", "the client left"));
    await until("the run is stopped", () => steps.runs[0]?.signal.aborted);
    await until("the log has its end", async () => {
      const found = await log().find(request.id);
      return typeof found === "object" && found.state === "ended";
    });
    const { entries } = await log().read(request.id, 0);
    assert.deepEqual(
      entries.map(({ event }) => (event.type === "failure" ? event.kind : event.type)),
      ["token", "token", "token", "cancelled"],
    );
  });

  test("a cancel message that is lost is made up for by the next append", async () => {
    begin();
    const steps = new Steps(1000);
    steps.holdAt = 4;
    worker(steps, "a");
    const node = await api();
    const record = recordOf();
    await node.node.generations.start(record);
    await until("it runs", () => steps.runs.length === 1);
    await log().cancel(record.id);
    steps.holdAt = Infinity;
    await until("the run is stopped", () => steps.runs[0]?.signal.aborted);
    await until("it has ended", async () => {
      const found = await log().find(record.id);
      return typeof found === "object" && found.terminal?.type === "failure" && found.terminal.kind === "cancelled";
    });
  });

  test("a fenced writer stops silently and is counted", async () => {
    begin();
    const steps = new Steps(1000);
    steps.holdAt = 4;
    const first = worker(steps, "a");
    const node = await api();
    const record = recordOf();
    await node.node.generations.start(record);
    await until("three tokens", async () => (await log().read(record.id, 0)).lastSeq === 3);
    const thief = await log().claim(record.id, 99, "thief", "v1");
    assert.ok(typeof thief === "object");
    steps.holdAt = Infinity;
    await until("the run is stopped", () => steps.runs[0]?.signal.aborted);
    assert.equal((await log().read(record.id, 0)).lastSeq, 3);
    assert.equal(await metric(first, "fenced_appends_total"), 1);
  });

  test("a worker with other files never sees the job", async () => {
    begin();
    const steps = new Steps();
    worker(steps, "other", { digest: "e".repeat(64) });
    const reader = new Reader(await api(), prepared());
    await until("the other one is there", async () => (await client.smembers(`${prefix}:workers`)).length === 1);
    await sleep(300);
    assert.equal(steps.runs.length, 0);
    worker(steps, "same");
    assert.equal(await reader.done, null);
    assert.deepEqual(
      steps.runs.map(({ worker: name }) => name),
      ["same"],
    );
  });

  test("a log begun by one variant is left to workers of that variant", async () => {
    begin();
    const steps = new Steps();
    steps.holdAt = 3;
    const first = worker(steps, "fp32", { variant: "fp32" });
    const reader = new Reader(await api(), prepared());
    await until("two tokens", () => reader.ids.length === 2);
    worker(steps, "int8", { variant: "int8" });
    await until("both are there", async () => (await client.smembers(`${prefix}:workers`)).length === 2);
    await first.node.drain(0);
    await until("the other has left it", async () => (await client.zcard(`${prefix}:${queue}:delayed`)) === 1);
    steps.holdAt = Infinity;
    worker(steps, "fp32 again", { variant: "fp32" });
    assert.equal(await reader.done, null);
    assert.deepEqual(reader.ids, whole(steps));
    assert.deepEqual(
      steps.runs.map(({ worker: name }) => name),
      ["fp32", "fp32 again"],
    );
  });

  test("a job that Redis lost is added again", async () => {
    begin();
    const steps = new Steps();
    const node = await api({ timings: { silenceMs: 300, workerWaitMs: patience } });
    const reader = new Reader(node, prepared());
    await until("the job is there", async () => (await client.zcard(`${prefix}:${queue}:prioritized`)) === 1);
    await client.del(...(await client.keys(`${prefix}:${queue}:*`)));
    await until("it is there again", async () => (await client.zcard(`${prefix}:${queue}:prioritized`)) === 1);
    worker(steps, "a");
    assert.equal(await reader.done, null);
    assert.deepEqual(reader.ids, whole(steps));
  });

  test("a job that is lost while it runs goes on behind its tokens", async () => {
    begin();
    const steps = new Steps();
    steps.holdAt = 4;
    worker(steps, "a");
    const node = await api({ timings: { silenceMs: 300, workerWaitMs: patience } });
    const reader = new Reader(node, prepared());
    await until("three tokens", () => reader.ids.length === 3);
    await client.del(...(await client.keys(`${prefix}:${queue}:*`)));
    await until("a second run", () => steps.runs.length === 2);
    steps.holdAt = Infinity;
    assert.equal(await reader.done, null);
    assert.deepEqual(reader.ids, whole(steps));
    assert.equal(steps.runs[1]?.logged, 3);
  });

  test("a deadline ends what no worker has taken", async () => {
    begin();
    const node = await api();
    const reader = new Reader(node, prepared({ deadlineAt: Date.now() + 200 }));
    const error = await reader.done;
    assert.ok(error instanceof AppError);
    assert.deepEqual([error.kind, error.message], ["deadline", "the deadline passed before the first token"]);
    assert.deepEqual(await node.node.queue.depth(), { queuedRequests: 0, queuedTokens: 0, running: 0 });
  });

  test("without a worker for long, requests are refused by the model's name", async () => {
    begin();
    const node = await api({ timings: { silenceMs: 300, workerWaitMs: 100 } });
    await sleep(150);
    const error = await new Reader(node, prepared()).done;
    assert.ok(error instanceof AppError);
    assert.deepEqual([error.kind, error.message], ["unavailable", 'no worker serves model "scripted"']);
    assert.ok((error.retryAfterSeconds ?? 0) >= 1);
    const steps = new Steps();
    worker(steps, "a");
    await until("it sees the worker", async () => (await node.node.workers())["scripted"] === 1);
    assert.equal(await new Reader(node, prepared()).done, null);
  });

  test("generations nobody follows free their place when they begin, and again when they end", async () => {
    begin();
    const steps = new Steps();
    steps.holdAt = 3;
    const node = await api();
    await node.node.generations.start(recordOf());
    assert.equal((await node.node.queue.depth()).queuedRequests, 1);
    worker(steps, "a");
    await until("it runs", async () => (await node.node.queue.depth()).running === 1);
    steps.holdAt = Infinity;
    await until("it has ended", async () => (await node.node.queue.depth()).running === 0);
  });

  test("a worker that has stalled is replaced", async () => {
    begin();
    const steps = new Steps();
    const stalled = worker(steps, "a", { stallTimeoutMs: 600 });
    await until("it takes jobs", () => stalled.node.bulls.length === 1);
    const { bull } = stalled.node.bulls[0]!;
    // What a blocking connection in a bad state does: no answer, no error.
    bull.getBackend().waitForJob = () => new Promise(() => undefined);
    bull.getBackend().moveToActive = () => new Promise(() => undefined);
    await sleep(2500);
    const reader = new Reader(await api(), prepared());
    assert.equal(await reader.done, null);
    assert.deepEqual(reader.ids, whole(steps));
    assert.equal(await metric(stalled, "worker_watchdog_restarts_total"), 1);
  });

  test("a job of a newer schema is left to newer workers", async () => {
    begin();
    const steps = new Steps();
    const only = worker(steps, "a");
    await until("it takes jobs", () => only.node.bulls.length === 1);
    const { Queue } = await import("bullmq");
    const jobs = new Queue(queue, { connection: client, prefix });
    await jobs.add("generate", { schema: 2, id: "x" }, { jobId: "future", priority: 1 });
    await until("it is left", async () => (await client.zcard(`${prefix}:${queue}:delayed`)) === 1);
    assert.equal(steps.runs.length, 0);
  });

  test("Redis away: refused at once, then back by itself; a stream that runs goes on", async () => {
    begin();
    const steps = new Steps();
    steps.holdAt = 4;
    const survivor = worker(steps, "a");
    const node = await api();
    const reader = new Reader(node, prepared());
    await until("three tokens", () => reader.ids.length === 3);
    await redis.kill();
    await until("it is seen", () => !node.node.isUp && !survivor.node.isUp);
    const error = await new Reader(node, prepared()).done;
    assert.ok(error instanceof AppError);
    assert.equal(error.kind, "unavailable");
    assert.ok((error.retryAfterSeconds ?? 0) >= 1);
    await redis.restart();
    steps.holdAt = Infinity;
    assert.equal(await reader.done, null);
    assert.deepEqual(reader.ids, whole(steps));
    assert.equal(reader.ends, 1);
    assert.equal(await new Reader(node, prepared()).done, null);
  });

  test("a generation whose job is refused is refused, and its log ends", async () => {
    begin();
    const { node } = await api();
    await client.set(`${prefix}:${queue}:prioritized`, "not a sorted set");
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
    begin();
    const steps = new Steps();
    worker(steps, "a");
    const node = await api({ timings: { silenceMs: 300, workerWaitMs: 30_000 } });
    assert.equal(await new Reader(node, prepared()).done, null);
    for (let round = 0; round < 5; round += 1) {
      await client.script("FLUSH");
      const reader = new Reader(node, prepared());
      assert.equal(await reader.done, null);
      assert.deepEqual(reader.ids, whole(steps));
    }
  });

  test("a generation whose job was never added is looked after by whoever is asked for it", async () => {
    begin();
    const steps = new Steps();
    worker(steps, "a");
    const { node } = await api();
    // As a node leaves it that dies, or loses Redis, between the record and the job.
    const [followed, lookedUp] = [recordOf({ digest: "d".repeat(64) }), recordOf({ digest: "d".repeat(64) })];
    for (const record of [followed, lookedUp]) await log().create(record);
    assert.equal(typeof (await node.generations.find(lookedUp.id)), "object");
    const seqs: number[] = [];
    const signal = AbortSignal.timeout(patience);
    for await (const { seq } of node.generations.follow(followed.id, 0, signal)) seqs.push(seq);
    assert.deepEqual(seqs, [1, 2, 3, 4, 5, 6, 7]);
    await until("the other one has ended", async () => {
      const found = await log().find(lookedUp.id);
      return typeof found === "object" && found.state === "ended";
    });
  });
});
