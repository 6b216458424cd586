// Which spans there are and what they say: pure functions of what was asked and what the engine told.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndEvent, Prepared } from "../../../src/generation.js";
import { engineSpans, generationEnd, generationStart } from "../../../src/telemetry/tracing/generation-spans.js";
import { requestEnd, requestStart } from "../../../src/telemetry/tracing/http-spans.js";
import { runStart, waitInRedis } from "../../../src/telemetry/tracing/job-spans.js";
import { decoding } from "../../support/models/decoding.js";
import { FailureNotes } from "../../../src/telemetry/tracing/otlp.js";

const secret = "a text of a user";
const prepared: Prepared = {
  id: "ab".repeat(16),
  model: "m",
  sourceIds: [3, 4, 5],
  decoding: decoding({ maxLength: 20, doSample: true, temperature: 0.5, topK: 4, topP: 0.9, seed: 11 }),
  stop: [secret],
  wantLogprobs: false,
  topN: 0,
  wantAttention: false,
  deadlineAt: null,
  priority: 2,
};
const token = { id: 7, text: secret, special: false };
const end: EndEvent = {
  type: "end",
  outputs: [
    { text: secret, ids: [7], score: null, finishReason: "eos_token", tokens: [token] },
    { text: secret, ids: [7, 7], score: null, finishReason: "length", tokens: [token, token] },
  ],
  usage: { sourceTokens: 3, generatedTokens: 3 },
  timings: { queueMs: 1, encodeMs: 2, decodeMs: 3, totalMs: 6 },
};
const engineEnd = {
  id: 1,
  ok: true as const,
  outputs: end.outputs.map(({ finishReason, tokens }) => ({
    finishReason,
    tokens: tokens.map(({ id }) => ({ id })),
    score: null,
  })),
  timings: end.timings,
  run: { endedAt: 1000, encodedSources: 4, steps: 3, meanRows: 2.6666, maxRows: 5 },
};

test("a generation says what was asked, in OpenTelemetry's names", () => {
  const { name, kind, attributes } = generationStart(prepared);
  assert.deepEqual([name, kind], ["text_completion m", "internal"]);
  const told = Object.fromEntries(Object.entries(attributes).filter(([key]) => key.startsWith("gen_ai.")));
  assert.deepEqual(told, {
    "gen_ai.operation.name": "text_completion",
    "gen_ai.provider.name": "seqserve",
    "gen_ai.request.model": "m",
    "gen_ai.output.type": "text",
    "gen_ai.request.max_tokens": 20 - prepared.decoding.prefix.length,
    "gen_ai.request.choice.count": undefined,
    "gen_ai.request.temperature": 0.5,
    "gen_ai.request.top_k": 4,
    "gen_ai.request.top_p": 0.9,
    "gen_ai.request.seed": 11,
  });
  assert.equal(attributes["seqserve.request.stop_strings"], 1);
});

test("options that greedy decoding does not use are not told", () => {
  const { attributes } = generationStart({ ...prepared, decoding: decoding({ doSample: false, temperature: 0.5 }) });
  assert.equal("gen_ai.request.temperature" in attributes, false);
  assert.equal("gen_ai.request.seed" in attributes, false);
});

test("its end says usage and why each output ended", () => {
  const { attributes, error } = generationEnd(prepared, "ok", end);
  assert.equal(error, null);
  assert.deepEqual(attributes, {
    "seqserve.outcome": "ok",
    "gen_ai.response.id": prepared.id,
    "gen_ai.response.model": "m",
    "gen_ai.response.finish_reasons": ["eos_token", "length"],
    "gen_ai.usage.input_tokens": 3,
    "gen_ai.usage.output_tokens": 3,
  });
});

test("errors, refusals and deadlines are failures; a client that leaves is none", () => {
  const errors = (["ok", "error", "cancelled", "timeout", "rejected"] as const).map(
    (outcome) => generationEnd(prepared, outcome, null).error,
  );
  assert.deepEqual(errors, [null, "error", null, "timeout", "rejected"]);
});

test("the engine's spans follow each other without gap up to its end", () => {
  const spans = engineSpans(prepared, engineEnd, 990);
  assert.deepEqual(
    spans.map(({ name, at, endedAt }) => [name, at, endedAt]),
    [
      ["queue", 990, 995],
      ["encode", 995, 997],
      ["decode", 997, 1000],
    ],
  );
  const [, encode, decode] = spans.map(({ attributes }) => attributes);
  assert.deepEqual(encode, { "seqserve.batch.sources": 4, "seqserve.source_tokens": 3 });
  assert.deepEqual(decode, {
    "seqserve.batch.rows.mean": 2.67,
    "seqserve.batch.rows.max": 5,
    "seqserve.steps": 3,
    "seqserve.generated_tokens": 3,
    "gen_ai.response.finish_reasons": ["eos_token", "length"],
  });
});

test("a queue's end is never before its beginning", () => {
  const [queue] = engineSpans(prepared, engineEnd, 996);
  assert.deepEqual([queue!.at, queue!.endedAt], [995, 995]);
});

test("only a first pick-up knows how long the job waited in Redis", () => {
  const pickUp = { id: "1", model: "m", worker: "w", attempt: 1, addedAt: 10, takenAt: 30 };
  const wait = waitInRedis(pickUp)!;
  assert.deepEqual([wait.name, wait.at, wait.endedAt], ["queue", 10, 30]);
  assert.equal(waitInRedis({ ...pickUp, attempt: 2 }), null);
  assert.equal(waitInRedis({ ...pickUp, addedAt: 40 })!.at, 30);
  const { name, kind, attributes, at } = runStart({ ...pickUp, attempt: 2 });
  assert.deepEqual([name, kind, at, attributes["seqserve.attempt"]], ["run m", "consumer", 30, 2]);
});

test("a request's span has its route's name, and no query", () => {
  const request = {
    method: "GET",
    route: "/generations/:id",
    url: "/generations/ab?last_event_id=3",
    scheme: "http",
    host: "example.org:8080",
    userAgent: "curl",
    httpVersion: "1.1",
  };
  const { name, attributes } = requestStart(request);
  assert.equal(name, "GET /generations/:id");
  assert.equal(attributes["url.path"], "/generations/ab");
  assert.equal(attributes["server.address"], "example.org");
  const odd = requestStart({ ...request, method: "BREW", route: undefined });
  assert.deepEqual(
    [odd.name, odd.attributes["http.request.method"], odd.attributes["url.path"]],
    ["HTTP", "_OTHER", undefined],
  );
});

test("only 5xx are errors of a request", () => {
  assert.deepEqual(
    [200, 404, 429, 500, 503].map((status) => requestEnd(status, false).error),
    [null, null, null, "500", "503"],
  );
  assert.equal(requestEnd(200, true).attributes?.["seqserve.client_left"], true);
});

test("no text of a user is in any span", () => {
  const spans = [generationStart(prepared), generationEnd(prepared, "ok", end), ...engineSpans(prepared, engineEnd, 0)];
  assert.equal(JSON.stringify(spans).includes(secret), false);
});

test("failures are noted at once, then once a minute with their number", () => {
  const notes: [string, number][] = [];
  const failures = new FailureNotes((error, count) => notes.push([error.message, count]));
  for (const now of [0, 10, 59_999, 60_000, 60_001, 120_000]) failures.add(new Error(`at ${now}`), now);
  assert.deepEqual(notes, [
    ["at 0", 1],
    ["at 60000", 3],
    ["at 120000", 2],
  ]);
});
