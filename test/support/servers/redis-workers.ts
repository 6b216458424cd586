// API nodes and workers over a real Redis of the suite's own, with an inference that goes token by token and stops where a test says.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, afterEach, before, beforeEach } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { GenerationEvent, Prepared, TokenEvent } from "../../../src/generation.js";
import { AppError } from "../../../src/errors.js";
import type { Redis } from "ioredis";
import { connectRedis } from "../../../src/queue/redis/redis.js";
import { RedisTokenLog } from "../../../src/queue/redis/redis-token-log.js";
import { recordOf } from "../contracts/generations.js";
import { metricSum } from "../clients/metrics-text.js";
import { startApi, startWorker, type TestApiOptions, type TestWorkerOptions } from "./nodes.js";
import { RedisServer } from "./redis.js";

export const patienceMs = 20_000;
export const queue = "jobs-scripted-dddddddddddd";

/** Tokens 10, 20, 30 … up to `length`; each run stops before the seq that holdAt names, until let go. */
export class Steps {
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

export class Reader {
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

/** Hooks of a suite with a Redis of its own, and what its tests start in it; each test has a prefix of its own. */
export function workersOverRedis() {
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
  beforeEach(() => {
    prefix = randomBytes(4).toString("hex");
  });
  afterEach(async () => {
    for (const { abort } of readers.splice(0)) abort.abort(new AppError("cancelled", "the test is over"));
    for (const close of open.splice(0).reverse()) await close();
  });

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
  return {
    api,
    worker,
    prepared,
    log,
    whole,
    metric,
    redis: () => redis,
    client: () => client,
    prefix: () => prefix,
  };
}
