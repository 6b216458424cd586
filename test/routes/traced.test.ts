// Requests under a caller's trace, through the real app and queue, to a real receiver.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { OtlpTracing } from "../../src/telemetry/tracing/otlp.js";
import { OtlpReceiver, type ReceivedSpan } from "../support/stand-ins/otlp-receiver.js";
import { testServer, type TestServer } from "../support/servers/scripted.js";
import { webhookReceiver } from "../support/stand-ins/webhook-receiver.js";

const parentId = "b7ad6b7169203331";
let receiver: OtlpReceiver;
let tracing: OtlpTracing;
let server: TestServer;
let url: string;
let traces = 0;

before(async () => {
  receiver = await OtlpReceiver.start();
  tracing = new OtlpTracing({
    url: `${receiver.url}/v1/traces`,
    headers: {},
    ratio: 1,
    resource: {},
    onFailure: () => undefined,
  });
  server = await testServer({ tracing, config: { webhookSecret: "s", webhookPrivate: "allow", corsOrigin: ["*"] } });
  url = await server.listen();
});

after(async () => {
  await server.close();
  await tracing.close();
  await receiver[Symbol.asyncDispose]();
});

/** Asks under a trace of its own. */
async function ask(path: string, body: unknown, method = "POST") {
  traces += 1;
  const traceId = traces.toString(16).padStart(32, "a");
  const answer = await fetch(url + path, {
    method,
    headers: { "content-type": "application/json", traceparent: `00-${traceId}-${parentId}-01` },
    ...(body === null ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  const span = (name: string, isIt: (span: ReceivedSpan) => boolean = () => true) =>
    receiver.span(name, (one) => one.traceId === traceId && isIt(one));
  return { answer, text, traceId, span };
}

test("a request's span is the caller's child, is told back, and has the generation below it", async () => {
  const { answer, traceId, span } = await ask("/generate", { inputs: "hello there" });
  const [request, generation] = [await span("POST /generate"), await span("text_completion echo")];
  assert.deepEqual([request.parentSpanId, request.kind], [parentId, "SERVER"]);
  assert.equal(answer.headers.get("traceresponse"), `00-${traceId}-${request.spanId}-01`);
  assert.match(answer.headers.get("access-control-expose-headers") ?? "traceresponse", /traceresponse/u);
  assert.deepEqual(
    [request.attributes["http.route"], request.attributes["url.path"], request.attributes["http.response.status_code"]],
    ["/generate", "/generate", 200],
  );
  assert.deepEqual([generation.parentSpanId, generation.kind], [request.spanId, "INTERNAL"]);
  assert.deepEqual(generation.events, ["first token"]);
  assert.equal(generation.attributes["gen_ai.usage.output_tokens"], 3);
  assert.equal(generation.attributes["gen_ai.response.id"], answer.headers.get("x-generation-id"));
  assert.ok(request.start <= generation.start && generation.end <= request.end);
});

test("its log lines carry the ids", async () => {
  const { traceId, span } = await ask("/generate", { inputs: "for the log" });
  const request = await span("POST /generate");
  const line = server.lines.find((one) => one["msg"] === "answered" && one["trace_id"] === traceId);
  assert.equal(line?.["span_id"], request.spanId);
});

test("every surface passes its trace on", async () => {
  const surfaces: [string, unknown][] = [
    ["/generate_stream", { inputs: "one" }],
    ["/", { inputs: "one" }],
    ["/v1/completions", { model: "echo", prompt: "one" }],
    ["/v2/models/echo/generate", { text_input: "one" }],
    ["/explain", { inputs: "one", occlusion: false }],
    ["/generations", { inputs: "one" }],
  ];
  for (const [path, body] of surfaces) {
    const { answer, text, span } = await ask(path, body);
    assert.ok(answer.ok, `${path}: ${answer.status} ${text}`);
    const request = await span(`POST ${pattern(path)}`);
    assert.equal((await span("text_completion echo")).parentSpanId, request.spanId, path);
  }
});

const pattern = (path: string) => path.replace("/models/echo/", "/models/:model/");

test("several inputs are several generations of one request", async () => {
  const { traceId, span } = await ask("/generate", { inputs: ["one", "two", "three"] });
  const request = await span("POST /generate");
  const generations = receiver.spans.filter((one) => one.traceId === traceId && one.name === "text_completion echo");
  assert.deepEqual(
    generations.map((generation) => generation.parentSpanId),
    [request.spanId, request.spanId, request.spanId],
  );
});

test("what fails says how: refused input is no error of the server's, a failing model is", async () => {
  const refused = await ask("/generate", { inputs: 5 });
  const { isError, attributes } = await refused.span("POST /generate");
  assert.deepEqual(
    [isError, attributes["http.response.status_code"], attributes["error.type"]],
    [false, 422, undefined],
  );
  const failed = await ask("/generate", { inputs: "!fail" });
  const generation = await failed.span("text_completion echo");
  assert.deepEqual([generation.isError, generation.attributes["error.type"]], [true, "error"]);
  const crashed = await ask("/generate", { inputs: "!crash" });
  const request = await crashed.span("POST /generate");
  assert.deepEqual([request.isError, request.attributes["error.type"]], [true, "500"]);
});

test("a client that leaves is no error, and is told", async () => {
  const traceId = "b".repeat(32);
  const controller = new AbortController();
  const answer = await fetch(`${url}/generate_stream`, {
    method: "POST",
    headers: { "content-type": "application/json", traceparent: `00-${traceId}-${parentId}-01` },
    body: JSON.stringify({ inputs: "one !wait" }),
    signal: controller.signal,
  });
  await answer.body?.getReader().read();
  controller.abort();
  const generation = await receiver.span("text_completion echo", (span) => span.traceId === traceId);
  const request = await receiver.span("POST /generate_stream", (span) => span.traceId === traceId);
  assert.deepEqual([generation.isError, generation.attributes["seqserve.outcome"]], [false, "cancelled"]);
  assert.deepEqual([request.isError, request.attributes["seqserve.client_left"]], [false, true]);
});

test("probes have no span; paths that no route knows are not repeated", async () => {
  const probe = await ask("/health/live", null, "GET");
  assert.equal(probe.answer.headers.get("traceresponse"), null);
  const { span } = await ask("/secret/path?key=1", null, "GET");
  const unknown = await span("GET");
  assert.equal(JSON.stringify(unknown).includes("secret"), false);
  assert.equal(
    receiver.spans.some(({ traceId }) => traceId === probe.traceId),
    false,
  );
});

test("a webhook's call is in the trace, and its receiver can go on with it", async () => {
  const hook = await webhookReceiver([{ status: 500, headers: { "retry-after": "0" } }, { status: 200 }]);
  const { span } = await ask("/generations", { inputs: "one", webhook_url: hook.url });
  const failed = await span("webhook");
  await hook.close();
  const request = await span("POST /generations");
  assert.deepEqual([failed.kind, failed.parentSpanId, failed.isError], ["CLIENT", request.spanId, true]);
  assert.equal(failed.attributes["error.type"], "answered 500");
  assert.equal(hook.calls[0]?.headers["traceparent"], `00-${failed.traceId}-${failed.spanId}-01`);
  assert.equal(JSON.stringify(failed).includes("/hook"), false);
});
