// Metrics: values land in buckets that tell them apart, counters add up, and names follow Prometheus' rules.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { GenerationEvent, Prepared } from "../../../src/generation.js";
import { createMetrics, type Metrics } from "../../../src/telemetry/metrics.js";
import { measuredQueue } from "../../../src/queue/measurement.js";
import type { GenerationQueue } from "../../../src/queue/queue.js";
import { metricSum } from "../../support/clients/metrics-text.js";
import { testServer } from "../../support/servers/scripted.js";
import { readRedisInfo } from "../../../src/queue/redis/redis.js";

const report = {
  rows: 8,
  rowCapacity: 32,
  encodedSources: 2,
  sourceTokens: 30,
  paddedTokens: 10,
  encodeMs: 4,
  decodeMs: 6,
  hostMs: 0.3,
  busyMs: 10.5,
  yieldedMs: 0,
  tokens: 8,
  waiting: 3,
};

async function with_(body: (metrics: Metrics) => Promise<void>): Promise<void> {
  const metrics = createMetrics("1", { runtime: false });
  await body(metrics).finally(() => metrics.close());
}

/** Count in each bucket, not cumulated. */
function buckets(text: string, name: string): number[] {
  const counts = text
    .split("\n")
    .filter((line) => line.startsWith(`${name}_bucket`))
    .map((line) => Number(line.split(" ").at(-1)));
  return counts.map((count, i) => count - (i === 0 ? 0 : counts[i - 1]!));
}

test("steps of 1, 3, 6, 12 and 25 ms fall into five buckets", async () => {
  await with_(async (metrics) => {
    metrics.interToken("m", [0.001, 0.003, 0.006, 0.012, 0.025]);
    const counts = buckets(await metrics.text(), "seqserve_inter_token_latency_seconds");
    assert.equal(counts.filter((count) => count === 1).length, 5);
  });
});

test("a step adds to every counter it touches", async () => {
  await with_(async (metrics) => {
    metrics.step("m", report);
    metrics.step("m", {
      ...report,
      encodedSources: 0,
      sourceTokens: 0,
      paddedTokens: 0,
      rows: 4,
      tokens: 4,
      yieldedMs: 12,
    });
    const text = await metrics.text();
    const sum = (name: string, labels = {}) => metricSum(text, `seqserve_${name}`, labels);
    assert.equal(sum("steps_total"), 2);
    assert.equal(sum("engine_tokens_total"), 12);
    assert.equal(sum("source_tokens_total"), 30);
    assert.equal(sum("source_padding_tokens_total"), 10);
    assert.equal(sum("batch_rows_sum"), 12);
    assert.equal(sum("batch_rows_used"), 4);
    assert.equal(sum("batch_rows_capacity"), 32);
    assert.ok(Math.abs(sum("engine_busy_seconds_total") - 0.021) < 1e-9);
    assert.equal(
      sum("step_duration_seconds_count", { phase: "encode" }),
      1,
      "a step that encoded nothing is not an encode of 0 ms",
    );
    assert.equal(sum("step_duration_seconds_count", { phase: "decode" }), 2);
    assert.equal(sum("step_duration_seconds_count", { phase: "give_way" }), 1, "the other step had not waited");
    assert.ok(Math.abs(sum("step_duration_seconds_sum", { phase: "give_way" }) - 0.012) < 1e-9);
  });
});

test("a model that does not step has no rows in use: the last step's don't stand for ever", async () => {
  await with_(async (metrics) => {
    metrics.step("m", report);
    const used = async () => metricSum(await metrics.text(), "seqserve_batch_rows_used");
    assert.equal(await used(), 8);
    assert.equal(await used(), 0);
    metrics.step("m", report);
    assert.equal(await used(), 8);
  });
});

test("counters of what is served begin at 0, and a model's state is told", async () => {
  await with_(async (metrics) => {
    let state: "ready" | "failed" = "ready";
    metrics.watchModels(() => [{ name: "m", state }]);
    const text = await metrics.text();
    for (const series of [
      'requests_total{model="m",outcome="error"}',
      'job_redeliveries_total{model="m"}',
      'rejected_total{reason="tokens"}',
      'resume_total{result="log_lost"}',
      'model_failed{model="m"}',
    ])
      assert.ok(text.includes(`seqserve_${series} 0\n`), series);
    state = "failed";
    assert.equal(metricSum(await metrics.text(), "seqserve_model_failed"), 1);
  });
});

test("engines that closed are not counted", async () => {
  await with_(async (metrics) => {
    const labels = { layout: "transformer", device: "cpu", dtype: "fp32", version: null };
    metrics.modelLoaded("m", { ...labels, engines: 2, loadSeconds: 1, weightBytes: 5, loadedBytes: null });
    assert.equal(metricSum(await metrics.text(), "seqserve_engines"), 2);
    metrics.modelUnloaded("m");
    assert.equal(metricSum(await metrics.text(), "seqserve_engines"), 0);
  });
});

test("what Redis tells of itself is told on, its counters as they are; while it is away nothing is made up", async () => {
  await with_(async (metrics) => {
    const info = (evicted: number, status: string) =>
      `# Memory\r\nused_memory:1024\r\nmaxmemory:4096\r\n# Clients\r\nconnected_clients:7\r\n` +
      `evicted_keys:${evicted}\r\ntotal_commands_processed:99\r\naof_last_write_status:${status}\r\n`;
    let now = info(3, "ok");
    let isUp = true;
    metrics.scaleOut.watch({
      role: "api",
      isRedisUp: () => isUp,
      jobs: async () => [{ model: "m", waiting: 2, active: 1, delayed: 0, failed: 0 }],
      workers: async () => ({ m: 2 }),
      redis: async () => readRedisInfo(now),
      held: () => [{ model: "m", jobs: 1, rows: 4, capacity: 32 }],
    });
    const first = await metrics.text();
    // Redis-less processes must not tell of a Redis that can't write, or is full.
    await with_(async (others) =>
      assert.doesNotMatch(await others.text(), /^seqserve_(redis|jobs|workers|worker_rows)[_a-z]*[ {]/mu),
    );
    const of = (text: string, name: string, labels = {}) => metricSum(text, `seqserve_${name}`, labels);
    assert.equal(of(first, "redis_memory_bytes"), 1024);
    assert.equal(of(first, "redis_memory_limit_bytes"), 4096);
    assert.equal(of(first, "redis_clients"), 7);
    assert.equal(of(first, "redis_commands_total"), 99);
    assert.equal(of(first, "redis_evicted_keys_total"), 3);
    assert.equal(of(first, "redis_aof_write_ok"), 1);
    assert.equal(of(first, "workers"), 2);
    assert.equal(of(first, "worker_rows"), 4);
    assert.equal(of(first, "worker_rows_capacity"), 32);
    assert.equal(of(first, "jobs", { state: "waiting" }), 2);
    now = info(5, "err");
    const second = await metrics.text();
    assert.equal(of(second, "redis_evicted_keys_total"), 5);
    assert.equal(of(second, "redis_aof_write_ok"), 0);
    isUp = false;
    const third = await metrics.text();
    assert.equal(of(third, "redis_up"), 0);
    assert.doesNotMatch(third, /^seqserve_(?:jobs|redis_memory_bytes|redis_aof_write_ok)\{/mu);
  });
});

test("the time in Redis, where no engine knows of a request yet, is queue time", async () => {
  await with_(async (metrics) => {
    const queue: GenerationQueue = {
      async *submit(): AsyncGenerator<GenerationEvent> {
        yield { type: "accepted" };
        await sleep(60);
        yield { type: "token", seq: 1, index: 0, id: 1, text: "x", special: false };
        const usage = { sourceTokens: 1, generatedTokens: 1 };
        yield { type: "end", outputs: [], usage, timings: { queueMs: 1, encodeMs: 1, decodeMs: 3, totalMs: 5 } };
      },
      depth: () => Promise.resolve({ queuedRequests: 0, queuedTokens: 0, running: 0 }),
      close: () => Promise.resolve(),
    };
    const prepared = { model: "m", sourceIds: [1] } as unknown as Prepared;
    for await (const _ of measuredQueue(queue, metrics).submit(prepared, new AbortController().signal));
    const text = await metrics.text();
    const queued = metricSum(text, "seqserve_queue_time_seconds_sum");
    assert.ok(queued > 0.03, `${queued}`);
    assert.ok(queued <= metricSum(text, "seqserve_time_to_first_token_seconds_sum"), `${queued}`);
  });
});

test("time per output token is told without the first token; a rejected generation has no times", async () => {
  await with_(async (metrics) => {
    const ended = {
      finishReason: "length",
      queueSeconds: 0.01,
      totalSeconds: 1.1,
      sourceTokens: 5,
      generatedTokens: 11,
    } as const;
    metrics.generationStarted("m");
    metrics.generationEnded("m", { ...ended, outcome: "ok", firstTokenSeconds: 0.1 });
    metrics.generationStarted("m");
    metrics.generationEnded("m", { ...ended, outcome: "rejected", finishReason: null });
    const text = await metrics.text();
    assert.ok(Math.abs(metricSum(text, "seqserve_time_per_output_token_seconds_sum") - 0.1) < 1e-9);
    assert.equal(metricSum(text, "seqserve_request_duration_seconds_count"), 1);
    assert.equal(metricSum(text, "seqserve_requests_total"), 2);
    assert.equal(metricSum(text, "seqserve_requests_running"), 0);
    assert.equal(metricSum(text, "seqserve_finish_reasons_total", { reason: "length" }), 1);
  });
});

test("every metric has our prefix, help, a unit or _total where due, and at most 20 buckets", async () => {
  await with_(async (metrics) => {
    metrics.interToken("m", [0.001]);
    const text = await metrics.text();
    for (const [, name, type] of text.matchAll(/^# TYPE (\S+) (\S+)$/gmu)) {
      assert.match(name!, /^seqserve_[a-z_]+$/u);
      assert.match(text, new RegExp(`^# HELP ${name} \\S`, "mu"));
      if (type === "counter") assert.match(name!, /_total$/u);
      else assert.doesNotMatch(name!, /_total$/u);
    }
    assert.ok(buckets(text, "seqserve_inter_token_latency_seconds").length <= 20);
  });
});

test("real traffic adds up: requests, tokens, HTTP answers", async () => {
  const server = await testServer();
  const send = (payload: object) => server.app.inject({ method: "POST", url: "/generate", payload });
  await Promise.all([send({ inputs: "a b c" }), send({ inputs: ["a", "b"] }), send({ inputs: "a b", stream: true })]);
  await send({ inputs: "a !fail" });
  await send({ inputs: "" });
  const text = await server.metrics.text();
  const sum = (name: string, labels = {}) => metricSum(text, `seqserve_${name}`, labels);
  assert.equal(sum("requests_total", { outcome: "ok" }), 4);
  assert.equal(sum("requests_total", { outcome: "error" }), 1);
  assert.equal(sum("request_generated_tokens_sum"), sum("generated_tokens_total"));
  assert.equal(sum("generated_tokens_total"), 4 + 2 + 2 + 3 + 1);
  assert.equal(sum("time_to_first_token_seconds_count"), 5);
  assert.equal(sum("inter_token_latency_seconds_count"), 3 + 1 + 1 + 2);
  assert.equal(sum("http_request_duration_seconds_count", { route: "/generate", status_class: "2xx" }), 3);
  assert.equal(sum("http_request_duration_seconds_count", { route: "/generate", status_class: "4xx" }), 2);
  assert.equal(sum("requests_running"), 0);
  assert.equal(sum("queued_requests"), 0);
  await server.close();
});
