// OpenTelemetry's SDK and exporter against a real receiver: parents, sampling, headers, failures and the flush at the end.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { record } from "../../../src/telemetry/tracing/spans.js";
import { OtlpTracing, type OtlpOptions } from "../../../src/telemetry/tracing/otlp.js";
import { OtlpReceiver } from "../../support/stand-ins/otlp-receiver.js";
import { freePort } from "../../support/servers/redis.js";

const traceId = "0af7651916cd43dd8448eb211c80319c";
const parentId = "b7ad6b7169203331";
const internal = { kind: "internal", attributes: {} } as const;

function tracingTo(url: string, options: Partial<OtlpOptions> = {}): OtlpTracing {
  const resource = { "service.name": "named" };
  return new OtlpTracing({
    url: `${url}/v1/traces`,
    headers: {},
    ratio: 1,
    resource,
    onFailure: () => undefined,
    ...options,
  });
}

test("a span carries its caller's trace on, state included, and its own children", async () => {
  await using receiver = await OtlpReceiver.start();
  const tracing = tracingTo(receiver.url, { headers: { "x-key": "secret" } });
  const caller = { traceparent: `00-${traceId}-${parentId}-01`, tracestate: "vendor=1" };
  const span = tracing.start({ ...internal, name: "outer" }, caller);
  const inner = { ...internal, name: "inner", at: 1_700_000_000_000.5, endedAt: 1_700_000_000_002.75 };
  record(tracing, { ...inner, attributes: { list: ["a", "b"], none: undefined, real: 0.5, yes: true } }, span.headers);
  span.event("first token", Date.now());
  span.end({ name: "renamed", error: "bad", attributes: { count: 3 } });
  await tracing.close();
  const [outer, child] = [await receiver.span("renamed"), await receiver.span("inner")];
  assert.deepEqual([outer.traceId, outer.parentSpanId, outer.traceState], [traceId, parentId, "vendor=1"]);
  assert.equal(span.headers.traceparent, `00-${traceId}-${outer.spanId}-01`);
  assert.deepEqual(span.logFields, { trace_id: traceId, span_id: outer.spanId });
  assert.deepEqual([outer.isError, outer.events], [true, ["first token"]]);
  assert.deepEqual(outer.attributes, { count: 3, "error.type": "bad" });
  assert.deepEqual([child.traceId, child.parentSpanId, child.isError], [traceId, outer.spanId, false]);
  assert.deepEqual([child.start, child.end], [1_700_000_000_000.5, 1_700_000_000_002.75]);
  assert.deepEqual(child.attributes, { list: ["a", "b"], real: 0.5, yes: true });
  assert.equal(child.resource["service.name"], "named");
  assert.equal(receiver.headers[0]!["x-key"], "secret");
});

test("what is no traceparent begins a trace of its own", async () => {
  await using receiver = await OtlpReceiver.start();
  const tracing = tracingTo(receiver.url);
  for (const traceparent of ["", "00-0-0-0", `00-${"0".repeat(32)}-${parentId}-01`, `ff-${traceId}-${parentId}-01`]) {
    tracing.start({ ...internal, name: "root" }, { traceparent }).end();
  }
  await tracing.close();
  assert.equal(receiver.spans.length, 4);
  assert.ok(receiver.spans.every((span) => span.parentSpanId === "" && span.traceId !== traceId));
});

test("a caller that does not record is obeyed, and so is the share of traces that begin here", async () => {
  await using receiver = await OtlpReceiver.start();
  const all = tracingTo(receiver.url);
  const silent = all.start({ ...internal, name: "not recorded" }, { traceparent: `00-${traceId}-${parentId}-00` });
  silent.end();
  assert.match(silent.headers.traceparent, new RegExp(`^00-${traceId}-[0-9a-f]{16}-00$`, "u"));
  const none = tracingTo(receiver.url, { ratio: 0 });
  none.start({ ...internal, name: "not drawn" }, undefined).end();
  none.start({ ...internal, name: "asked for" }, { traceparent: `00-${traceId}-${parentId}-01` }).end();
  await Promise.all([all.close(), none.close()]);
  assert.deepEqual(
    receiver.spans.map(({ name }) => name),
    ["asked for"],
  );
});

test("a collector that refuses is told of once, and spans go on when it is back", async () => {
  await using receiver = await OtlpReceiver.start();
  const failures: Error[] = [];
  const tracing = tracingTo(receiver.url, { onFailure: (error) => failures.push(error) });
  receiver.status = 400;
  for (let i = 0; i < 3; i += 1) {
    tracing.start({ ...internal, name: "lost" }, undefined).end();
    const before = receiver.headers.length;
    while (receiver.headers.length === before) await sleep(20);
  }
  receiver.status = 200;
  tracing.start({ ...internal, name: "kept" }, undefined).end();
  await receiver.span("kept");
  await tracing.close();
  assert.equal(failures.length, 1);
  assert.deepEqual(
    receiver.spans.map(({ name }) => name),
    ["kept"],
  );
});

test("closing without a collector ends, and throws nothing", async () => {
  const tracing = tracingTo(`http://127.0.0.1:${await freePort()}`);
  tracing.start({ ...internal, name: "nowhere" }, undefined).end();
  await tracing.close();
});
