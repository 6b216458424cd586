// One request's trace through real processes, a real Redis and a shipped model, as a real OTLP receiver gets it: every span with the right parent.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Cluster, ServerProcess } from "../../support/servers/cluster.js";
import { EngineGate } from "../../support/servers/engine-gate.js";
import { OtlpReceiver, type ReceivedSpan } from "../../support/stand-ins/otlp-receiver.js";
import { withoutRedis } from "../../support/servers/redis.js";
import { until } from "../../support/until.js";
import { wireEvents } from "../../support/servers/scripted.js";
import { webhookReceiver } from "../../support/stand-ins/webhook-receiver.js";

const skip = withoutRedis;
const caller = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" };
const inputs = "one hundred and twenty three dollars";

function settings(receiver: OtlpReceiver) {
  return { MODEL: "itn-en", THREADS: "1", OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url };
}

function ask(url: string, path: string, body: unknown, traceId = caller.traceId): Promise<Response> {
  const headers = { "content-type": "application/json", traceparent: `00-${traceId}-${caller.spanId}-01` };
  return fetch(url + path, { method: "POST", headers, body: JSON.stringify(body) });
}

const below = (parent: ReceivedSpan) => (span: ReceivedSpan) =>
  span.traceId === parent.traceId && span.parentSpanId === parent.spanId;

/** queue, encode and decode of one engine run, in their order. */
async function engineSpans(receiver: OtlpReceiver, parent: ReceivedSpan): Promise<ReceivedSpan[]> {
  const names = ["queue", "encode", "decode"];
  const spans = await Promise.all(names.map((name) => receiver.span(name, below(parent))));
  for (const [i, span] of spans.entries()) {
    assert.ok(span.start <= span.end, span.name);
    if (i > 0)
      assert.ok(Math.abs(span.start - spans[i - 1]!.end) < 0.01, `${span.name} begins where the one before ends`);
  }
  return spans;
}

test("in one process: request, generation, queue, encode, decode", async () => {
  await using receiver = await OtlpReceiver.start();
  const server = new ServerProcess(settings(receiver));
  try {
    await server.untilReady();
    const parameters = { do_sample: true, seed: 5, max_new_tokens: 12 };
    const answer = (await (await ask(server.url, "/generate", { inputs, parameters })).json()) as {
      readonly usage: { readonly source_tokens: number; readonly generated_tokens: number };
    };
    const request = await receiver.span("POST /generate");
    const generation = await receiver.span("text_completion itn-en", below(request));
    const [, encode, decode] = await engineSpans(receiver, generation);
    assert.deepEqual([request.traceId, request.parentSpanId], [caller.traceId, caller.spanId]);
    assert.equal(generation.attributes["gen_ai.request.seed"], 5);
    assert.equal(generation.attributes["gen_ai.request.max_tokens"], 12);
    assert.equal(generation.attributes["gen_ai.usage.input_tokens"], answer.usage.source_tokens);
    assert.equal(generation.attributes["gen_ai.usage.output_tokens"], answer.usage.generated_tokens);
    assert.equal(encode!.attributes["seqserve.batch.sources"], 1);
    assert.deepEqual(
      [decode!.attributes["seqserve.batch.rows.mean"], decode!.attributes["seqserve.batch.rows.max"]],
      [1, 1],
    );
    const [line] = server.logged("answered").filter(({ trace_id }) => trace_id === caller.traceId);
    assert.equal(line?.["span_id"], request.spanId);
    assert.equal(request.resource["service.name"], "seqserve");
  } finally {
    await server.kill("SIGTERM");
  }
});

test("inputs decoded together say so", async () => {
  await using receiver = await OtlpReceiver.start();
  const server = new ServerProcess(settings(receiver));
  try {
    await server.untilReady();
    const parameters = { num_beams: 2, max_new_tokens: 24, min_new_tokens: 24 };
    await (await ask(server.url, "/generate", { inputs: [inputs, inputs, inputs], parameters })).json();
    await receiver.span("POST /generate");
    const decodes = receiver.spans.filter(({ name }) => name === "decode");
    assert.equal(decodes.length, 3);
    for (const { attributes } of decodes) {
      assert.equal(attributes["seqserve.batch.rows.max"], 6);
      assert.ok(Number(attributes["seqserve.batch.rows.mean"]) > 2);
      assert.ok(Number(attributes["seqserve.steps"]) >= 24);
    }
  } finally {
    await server.kill("SIGTERM");
  }
});

test("over Redis: the worker's spans are below the API node's, in the caller's trace", { skip }, async () => {
  await using receiver = await OtlpReceiver.start();
  await using cluster = await Cluster.start({ env: settings(receiver) });
  const [api, worker] = [cluster.apis[0]!, cluster.workers[0]!];
  assert.equal((await ask(api.url, "/generate", { inputs })).status, 200);
  const request = await receiver.span("POST /generate");
  const generation = await receiver.span("text_completion itn-en", below(request));
  const waited = await receiver.span("queue", below(generation));
  const run = await receiver.span("run itn-en", below(generation));
  const [, , decode] = await engineSpans(receiver, run);
  assert.deepEqual([request.traceId, request.parentSpanId], [caller.traceId, caller.spanId]);
  assert.equal(waited.attributes["seqserve.queue"], "redis");
  assert.deepEqual(
    [run.kind, run.attributes["seqserve.attempt"], run.attributes["seqserve.run.end"]],
    ["CONSUMER", 1, "settled"],
  );
  assert.deepEqual(decode!.attributes["gen_ai.response.finish_reasons"], ["eos_token"]);
  const roleOf = (span: ReceivedSpan) => span.resource["seqserve.role"];
  assert.deepEqual([request, generation, waited, run, decode!].map(roleOf), [
    "api",
    "api",
    "worker",
    "worker",
    "worker",
  ]);
  const taken = worker.logged("generation taken").find(({ trace_id }) => trace_id === caller.traceId);
  assert.equal(taken?.["span_id"], run.spanId);
});

test("a generation that is handed over has a run for each worker, in the same trace", { skip }, async () => {
  await using receiver = await OtlpReceiver.start();
  using gate = new EngineGate(16);
  const env = { ...settings(receiver), DRAIN_TIMEOUT_MS: "0", ...gate.env };
  await using cluster = await Cluster.start({ workers: 2, env });
  const api = cluster.apis[0]!;
  const parameters = { max_new_tokens: 128, min_new_tokens: 128 };
  gate.close();
  const answer = await ask(api.url, "/generate_stream", { inputs, parameters });
  let text = "";
  let isMoved = false;
  for await (const chunk of answer.body!.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    if (isMoved || text.split("\n\n").length < 10) continue;
    isMoved = true;
    const hasIt = (worker: ServerProcess) => worker.logged("generation taken").length > 0;
    await until(() => cluster.workers.some(hasIt), "a worker has it");
    const holder = cluster.workers.find(hasIt)!;
    holder.signal("SIGTERM");
    await until(() => holder.logged("generation handed over").length > 0, "it is handed over");
    gate.open();
  }
  assert.equal(wireEvents(text).at(-1)?.event, "end");
  const generation = await receiver.span("text_completion itn-en");
  const runs = await Promise.all(
    [1, 2].map((attempt) =>
      receiver.span("run itn-en", (span) => below(generation)(span) && span.attributes["seqserve.attempt"] === attempt),
    ),
  );
  assert.deepEqual(
    runs.map(({ attributes }) => attributes["seqserve.run.end"]),
    ["handover", "settled"],
  );
  assert.notEqual(runs[0]!.attributes["seqserve.worker"], runs[1]!.attributes["seqserve.worker"]);
  await engineSpans(receiver, runs[1]!);
});

test("a durable generation and its webhook are in the trace of who began it", { skip }, async () => {
  await using receiver = await OtlpReceiver.start();
  const secret = { WEBHOOK_SECRET: "secret", WEBHOOK_PRIVATE: "allow" };
  await using cluster = await Cluster.start({ env: { ...settings(receiver), ...secret } });
  const hook = await webhookReceiver();
  const answer = await ask(cluster.apis[0]!.url, "/generations", { inputs, webhook_url: hook.url });
  assert.equal(answer.status, 202);
  const request = await receiver.span("POST /generations");
  const generation = await receiver.span("text_completion itn-en", below(request));
  const call = await receiver.span("webhook", below(generation));
  await receiver.span("decode", (span) => span.traceId === caller.traceId);
  await hook.close();
  assert.equal(hook.calls[0]?.headers["traceparent"], `00-${caller.traceId}-${call.spanId}-01`);
});

test(
  "a job without a trace, as older nodes write it, is a trace of its own on a worker that traces",
  { skip },
  async () => {
    await using receiver = await OtlpReceiver.start();
    await using cluster = await Cluster.start({ apis: 0, workers: 0, env: { MODEL: "itn-en", THREADS: "1" } });
    const [api] = await Promise.all([cluster.addApi(), cluster.addWorker(settings(receiver))]);
    await api.untilServed();
    assert.equal((await ask(api.url, "/generate", { inputs })).status, 200);
    const run = await receiver.span("run itn-en");
    assert.equal(run.parentSpanId, "");
    assert.notEqual(run.traceId, caller.traceId);
    await engineSpans(receiver, run);
  },
);

test("a collector that is not there costs no answer, and is told of in the log once", async () => {
  const server = new ServerProcess({
    MODEL: "itn-en",
    THREADS: "1",
    OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:9",
  });
  try {
    await server.untilReady();
    for (let i = 0; i < 3; i += 1) assert.equal((await ask(server.url, "/generate", { inputs })).status, 200);
    await server.until(() => server.logged("traces could not be sent").length > 0);
    assert.equal(await server.kill("SIGTERM"), 0);
    assert.equal(server.logged("traces could not be sent").length, 1);
  } finally {
    await server.kill("SIGKILL");
  }
});
