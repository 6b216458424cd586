// Streams over real sockets: shape, errors before and after the first byte, leaving and slow readers, heartbeats, several inputs.
import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { after, before, test } from "node:test";
import { metricSum } from "../support/clients/metrics-text.js";
import { testServer, wireEvents, type TestServer } from "../support/servers/scripted.js";
import { until } from "../support/until.js";

let server: TestServer;
let url: string;
before(async () => {
  server = await testServer({ sse: { heartbeatMs: 30, drainMs: 200 }, config: { maxQueuedRequests: 4 } });
  url = await server.listen();
});
after(() => server.close());

function post(body: unknown, init: RequestInit = {}, path = "/generate"): Promise<Response> {
  return fetch(`${url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
    ...init,
  });
}

/** A socket that has sent a request and reads nothing. */
function rawRequest(body: unknown): Socket {
  const { port } = new URL(url);
  const socket = connect(Number(port), "127.0.0.1");
  const text = JSON.stringify(body);
  socket.write(
    `POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(text)}\r\n\r\n${text}`,
  );
  socket.on("error", () => undefined);
  return socket;
}

async function metric(name: string, labels: Record<string, string> = {}): Promise<number> {
  return metricSum(await server.metrics.text(), name, labels);
}

test("a stream is token events numbered from 1, then one end event with the text", async () => {
  const response = await post({ inputs: "hello world", stream: true });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
  assert.equal(response.headers.get("cache-control"), "no-cache, no-transform");
  assert.equal(response.headers.get("x-accel-buffering"), "no");
  const text = await response.text();
  assert.ok(text.startsWith(": ok\n\n"), "a comment opens the stream at once");
  const events = wireEvents(text);
  assert.deepEqual(
    events.map(({ id }) => id),
    [1, 2, 3, 4],
  );
  assert.deepEqual(
    events.map(({ event }) => event),
    [null, null, null, "end"],
  );
  assert.deepEqual(events[0]!.data, {
    index: 1,
    token: { id: 3, text: "HELLO", logprob: null, special: false },
    generated_text: null,
    details: null,
  });
  const end = events[3]!.data;
  assert.deepEqual(
    end["token"],
    { id: 1, text: "", logprob: null, special: true },
    "TGI's clients read a token in every event",
  );
  assert.equal(end["generated_text"], "HELLO WORLD");
  assert.equal(end["finish_reason"], "eos_token");
  assert.equal(end["details"], null);
  assert.equal(end["id"], response.headers.get("x-generation-id"));
  assert.deepEqual(end["usage"], { source_tokens: 2, generated_tokens: 3 });
});

test("details bring TGI's numbers to the end event and log-probabilities to the tokens", async () => {
  const events = wireEvents(
    await (
      await post({ inputs: "hi", stream: true, parameters: { details: true, top_n_tokens: 1, attention: true } })
    ).text(),
  );
  assert.deepEqual(events.at(-1)!.data["details"], {
    finish_reason: "eos_token",
    generated_tokens: 2,
    seed: null,
    input_length: 1,
  });
  assert.equal((events[0]!.data["token"] as { logprob: number }).logprob, -0.5);
  assert.deepEqual(events[0]!.data["top_tokens"], [{ id: 9, text: "nine", logprob: -0.1, special: false }]);
  assert.deepEqual(events[0]!.data["attention"], [1]);
});

test("several outputs say whose each token is", async () => {
  const events = wireEvents(
    await (await post({ inputs: "hi", stream: true, parameters: { do_sample: true, num_return_sequences: 2 } })).text(),
  );
  assert.deepEqual(
    events.slice(0, -1).map(({ data }) => data["output"]),
    [0, 1, 0, 1],
  );
  assert.equal((events.at(-1)!.data["outputs"] as unknown[]).length, 2);
});

test("Accept: text/event-stream and /generate_stream stream too", async () => {
  const headers = { "content-type": "application/json", accept: "text/event-stream" };
  assert.match((await post({ inputs: "hi" }, { headers })).headers.get("content-type")!, /event-stream/u);
  assert.match((await post({ inputs: "hi" }, {}, "/generate_stream")).headers.get("content-type")!, /event-stream/u);
  const json = await post({ inputs: "hi", stream: false }, { headers });
  assert.match(json.headers.get("content-type")!, /json/u, "the body decides");
});

test("several inputs share a stream: ids over all, events name their input, one end each", async () => {
  const events = wireEvents(await (await post({ inputs: ["!ms=20 a b", "c"], stream: true })).text());
  assert.deepEqual(
    events.map(({ id }) => id),
    events.map((_, i) => i + 1),
  );
  const of = (input: number) => events.filter(({ data }) => data["input"] === input);
  assert.deepEqual(
    of(0)
      .map(({ data }) => (data["token"] as { text: string }).text)
      .join(""),
    "A B",
  );
  assert.equal(of(0).at(-1)!.data["generated_text"], "A B");
  assert.equal(of(1).at(-1)!.data["generated_text"], "C");
  assert.ok(events.indexOf(of(1).at(-1)!) < events.indexOf(of(0).at(-1)!), "the shorter one ends first");
});

test("tokens are not held back", async () => {
  const response = await post({ inputs: "first !wait", stream: true });
  const reader = response.body!.getReader();
  let text = "";
  while (!text.includes("FIRST")) text += Buffer.from((await reader.read()).value!).toString();
  await reader.cancel();
});

test("headers come at admission, before the first token; silence is filled with heartbeats", async () => {
  const response = await post({ inputs: "!wait", stream: true });
  assert.equal(response.status, 200);
  const reader = response.body!.getReader();
  let text = "";
  while (!text.includes(": ping\n\n: ping\n\n")) text += Buffer.from((await reader.read()).value!).toString();
  assert.ok(text.startsWith(": ok\n\n"));
  await reader.cancel();
});

test("what is wrong before the first byte is a status, in streams too", async () => {
  assert.equal((await post({ inputs: "", stream: true })).status, 422);
  assert.equal((await post({ inputs: "a", model: "nope", stream: true })).status, 404);
  for (const parameters of [{ best_of: 2, do_sample: true }, { decoder_input_details: true }]) {
    assert.equal((await post({ inputs: "a", parameters, stream: true })).status, 422);
  }
});

test("a full queue is a 429 with Retry-After before the first byte, for all of several inputs", async () => {
  const waiting = new AbortController();
  const running = Array.from({ length: 4 }, () => post({ inputs: "!wait", stream: true }, { signal: waiting.signal }));
  await Promise.all(running);
  const refused = await post({ inputs: "hi", stream: true });
  assert.equal(refused.status, 429);
  assert.ok(Number(refused.headers.get("retry-after")) >= 1);
  assert.deepEqual(((await refused.json()) as { error_type: string }).error_type, "overloaded");
  assert.equal((await post({ inputs: "hi" })).status, 429, "JSON too");
  waiting.abort();
  await until(async () => (await server.queue.depth()).queuedRequests === 0, "the queue is empty");
  assert.equal(
    (await post({ inputs: ["a", "b", "c", "d", "e"], stream: true })).status,
    429,
    "five never fit into four places",
  );
  assert.deepEqual(await server.queue.depth(), { queuedRequests: 0, queuedTokens: 0, running: 0 });
});

test("an error after the first byte is a last event with TGI's error, then the stream ends", async () => {
  const response = await post({ inputs: "fine !fail", stream: true });
  assert.equal(response.status, 200);
  const events = wireEvents(await response.text());
  assert.deepEqual(
    events.map(({ event }) => event),
    [null, "error"],
  );
  assert.deepEqual(events[1]!.data, { error: "the model failed on this request", error_type: "generation" });
  assert.equal(events[1]!.id, 2);
  const crashed = wireEvents(await (await post({ inputs: "fine !crash", stream: true })).text());
  assert.deepEqual(crashed.at(-1)!.data, { error: "internal error", error_type: "internal" });
});

test("an error of one input ends the stream of all", async () => {
  const events = wireEvents(await (await post({ inputs: ["a !wait", "!ms=20 b !fail"], stream: true })).text());
  assert.equal(events.at(-1)!.event, "error");
  assert.ok(server.inference.signals.at(-2)!.aborted);
});

for (const stream of [true, false]) {
  test(`a client that leaves aborts the generation (${stream ? "stream" : "JSON"})`, async () => {
    const before = await metric("seqserve_client_disconnects_total");
    const leave = new AbortController();
    const count = server.inference.signals.length;
    const answer = post({ inputs: "a !wait", stream }, { signal: leave.signal });
    answer.catch(() => undefined);
    await until(() => server.inference.signals.length > count, "it runs");
    const signal = server.inference.signals.at(-1)!;
    assert.equal(signal.aborted, false);
    leave.abort();
    await until(() => signal.aborted, "the signal aborts");
    await until(async () => (await server.queue.depth()).running === 0, "its place is free");
    assert.equal(await metric("seqserve_client_disconnects_total"), before + 1);
    assert.ok((await metric("seqserve_requests_total", { outcome: "cancelled" })) >= 1);
  });
}

for (const stream of [true, false]) {
  test(`on_disconnect "continue" generates to the end (${stream ? "stream" : "JSON"})`, async () => {
    const leave = new AbortController();
    const done = await metric("seqserve_requests_total", { outcome: "ok" });
    const count = server.inference.signals.length;
    const answer = post(
      { inputs: "a !gate b", stream, parameters: { on_disconnect: "continue" } },
      { signal: leave.signal },
    );
    answer.catch(() => undefined);
    await until(() => server.inference.signals.length > count, "it runs");
    leave.abort();
    await until(() => server.lifetime.openRequests === 0, "the request is over");
    await server.inference.open();
    await until(async () => (await metric("seqserve_requests_total", { outcome: "ok" })) === done + 1, "it ends well");
    assert.equal(server.inference.signals.at(-1)!.aborted, false);
  });
}

test("a reader that does not read is closed after the drain deadline, and the generation stops", async () => {
  const count = server.inference.signals.length;
  const socket = rawRequest({ inputs: Array.from({ length: 90 }, () => "!big").join(" "), stream: true });
  socket.pause();
  await until(() => server.inference.signals.length > count, "it runs");
  await until(() => server.inference.signals.at(-1)!.aborted, "the reader is given up");
  await until(async () => (await metric("seqserve_http_streams_open")) === 0, "no stream is open");
  socket.destroy();
});

test("streams leave nothing behind", async () => {
  await until(async () => (await metric("seqserve_http_streams_open")) === 0, "no stream is open");
  await until(() => server.lifetime.openRequests === 0, "no request is open");
  assert.deepEqual(await server.queue.depth(), { queuedRequests: 0, queuedTokens: 0, running: 0 });
  assert.equal(await metric("seqserve_requests_running"), 0);
});

test("a draining server refuses new work, lets streams finish and aborts what is left at the deadline", async () => {
  const draining = await testServer({ config: { maxQueuedRequests: 8 } });
  const base = await draining.listen();
  const send = (inputs: string) =>
    fetch(`${base}/generate`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ inputs, stream: true }),
    });
  const short = await send("a !gate b");
  const long = await send("a !wait");
  const drained = draining.lifetime.drain(1500);
  const ready = await fetch(`${base}/health/ready`);
  assert.deepEqual([ready.status, await ready.json()], [503, { status: "draining" }]);
  const refused = await send("late");
  assert.equal(refused.status, 503);
  assert.equal(refused.headers.get("connection"), "close");
  await draining.inference.open();
  assert.equal(wireEvents(await short.text()).at(-1)!.data["generated_text"], "A B");
  assert.deepEqual(wireEvents(await long.text()).at(-1)!.data, {
    error: "the server is shutting down",
    error_type: "unavailable",
  });
  await drained;
  await draining.close();
});
