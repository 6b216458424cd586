// Metrics: values land in buckets that tell them apart, counters add up, and names follow Prometheus' rules.
import assert from "node:assert/strict";
import { test } from "node:test";
import { createMetrics, type Metrics } from "../src/metrics.js";
import { metricSum } from "./support/metrics-text.js";
import { testServer } from "./support/scripted.js";

const report = {
  rows: 8,
  rowCapacity: 32,
  encodedSources: 2,
  sourceTokens: 30,
  paddedTokens: 10,
  encodeMs: 4,
  decodeMs: 6,
  hostMs: 0.3,
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
    metrics.step("m", { ...report, encodedSources: 0, sourceTokens: 0, paddedTokens: 0, rows: 4, tokens: 4 });
    const text = await metrics.text();
    const sum = (name: string, labels = {}) => metricSum(text, `seqserve_${name}`, labels);
    assert.equal(sum("steps_total"), 2);
    assert.equal(sum("engine_tokens_total"), 12);
    assert.equal(sum("source_tokens_total"), 30);
    assert.equal(sum("source_padding_tokens_total"), 10);
    assert.equal(sum("batch_rows_sum"), 12);
    assert.equal(sum("batch_rows_used"), 4);
    assert.equal(sum("batch_rows_capacity"), 32);
    assert.equal(
      sum("step_duration_seconds_count", { phase: "encode" }),
      1,
      "a step that encoded nothing is not an encode of 0 ms",
    );
    assert.equal(sum("step_duration_seconds_count", { phase: "decode" }), 2);
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
