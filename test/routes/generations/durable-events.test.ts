// GET /generations/{id}/events over real sockets: from any event on, for many readers, with EventSource, through a drain; and /generate that continues.
import assert from "node:assert/strict";
import { request } from "node:http";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { EventSource } from "eventsource";
import type { GenerationRecord, LookupRecord } from "../../../src/queue/log/token-log.js";
import { DurableClient, idsOf, parseEvents, readSome, textOf } from "../../support/clients/durable-client.js";
import { metricSum } from "../../support/clients/metrics-text.js";
import { testServer, type TestServer } from "../../support/servers/scripted.js";
import { until } from "../../support/until.js";

let server: TestServer;
let client: DurableClient;
let url: string;
before(async () => {
  server = await testServer({ sse: { heartbeatMs: 30, drainMs: 200 } });
  url = await server.listen();
  client = new DurableClient(url);
});
after(() => server.close());

async function metric(name: string, labels: Record<string, string> = {}, of = server): Promise<number> {
  return metricSum(await of.metrics.text(), name, labels);
}

async function refusal(response: Response): Promise<[number, string, string | undefined]> {
  const body = (await response.json()) as { error_type: string; field?: string };
  return [response.status, body.error_type, body.field];
}

test("events are those of /generate's stream, under the log's numbers", async () => {
  const body = { inputs: "hello world", parameters: { details: true, top_n_tokens: 1 } };
  const direct = parseEvents(await (await client.post(body, {}, "/generate_stream")).text());
  const id = await client.start(body);
  const response = await client.openEvents(id);
  assert.equal(response.headers.get("content-type"), "text/event-stream; charset=utf-8");
  assert.equal(response.headers.get("x-generation-id"), id);
  const text = await response.text();
  assert.ok(text.startsWith(": ok\n\nretry: 1000\n\n"));
  const events = parseEvents(text);
  assert.deepEqual(idsOf(events), [1, 2, 3, 4]);
  const end = direct.at(-1)!;
  assert.deepEqual(events, [...direct.slice(0, -1), { ...end, data: { ...end.data, id } }]);
});

test("every number to come back with gives the rest, while it runs and afterwards; 204 when nothing is left", async () => {
  const id = await client.start({ inputs: "!ms=15 a b c d e f" });
  await until(async () => (await client.state(id)).last_event_id >= 2, "two events are there");
  const during = [null, 0, 1, 2].map((from) => client.events(id, from));
  const whole = await client.events(id);
  assert.deepEqual(idsOf(whole), [1, 2, 3, 4, 5, 6, 7, 8]);
  const [fresh, ...resumed] = await Promise.all(during);
  assert.deepEqual(fresh, whole);
  for (const [from, events] of resumed.entries()) assert.deepEqual(events, whole.slice(from));
  for (let from = 0; from < 8; from += 1) assert.deepEqual(await client.events(id, from), whole.slice(from));
  for (const from of [8, 9, 1000]) {
    const response = await client.openEvents(id, from);
    assert.deepEqual([response.status, await response.text()], [204, ""]);
  }
});

test("the end event of best_of names the best first, as the result does", async () => {
  const id = await client.start({ inputs: "a b", parameters: { best_of: 3, do_sample: true } });
  const end = (await client.events(id)).at(-1)!;
  const { result } = await client.state(id);
  assert.deepEqual(end.data["outputs"], result!["outputs"]);
  assert.equal((end.data["outputs"] as { score: number }[])[0]!.score, -0.1);
});

test("last_event_id does what the header does, and the header wins", async () => {
  const id = await client.start({ inputs: "a b c" });
  await client.untilStatus(id, "succeeded");
  const query = await client.get(`/generations/${id}/events?last_event_id=2`);
  assert.deepEqual(idsOf(parseEvents(await query.text())), [3, 4, 5]);
  const both = await client.get(`/generations/${id}/events?last_event_id=2`, { "last-event-id": "4" });
  assert.deepEqual(idsOf(parseEvents(await both.text())), [5]);
});

test("a number that is none is a 422 that names where it stood", async () => {
  const id = await client.start({ inputs: "a" });
  for (const wrong of ["-1", "1.5", "x", "", "1e3", "0x1", "9".repeat(16), "1, 2", "%F0"]) {
    const header = await client.get(`/generations/${id}/events`, { "last-event-id": wrong });
    assert.deepEqual(await refusal(header), [422, "validation", "Last-Event-ID"], wrong);
    const query = await client.get(`/generations/${id}/events?last_event_id=${encodeURIComponent(wrong)}`);
    assert.deepEqual(await refusal(query), [422, "validation", "last_event_id"], wrong);
  }
});

test("a number above an open log's last one is a 410 log_lost", async () => {
  const id = await client.start({ inputs: "a !wait" });
  await client.untilStatus(id, "running");
  assert.deepEqual(await refusal(await client.openEvents(id, 2)), [410, "log_lost", undefined]);
  await client.cancel(id);
});

test("resumes are counted by what became of them", async () => {
  const count = async (result: string) => metric("seqserve_resume_total", { result });
  const names = ["resumed", "ended", "log_lost", "unknown"];
  const counts = async () => Promise.all(names.map(count));
  const id = await client.start({ inputs: "a !wait" });
  await client.untilStatus(id, "running");
  await until(async () => (await client.state(id)).last_event_id === 1, "one event is there");
  const was = await counts();
  assert.equal((await client.openEvents(id, 5)).status, 410);
  await client.cancel(id);
  assert.equal((await client.events(id)).length, 2, "a fresh reader resumes nothing");
  assert.equal((await client.events(id, 1)).length, 1);
  assert.equal((await client.openEvents(id, 2)).status, 204);
  assert.equal((await client.openEvents("0".repeat(32), 2)).status, 404);
  assert.deepEqual(
    (await counts()).map((value, i) => value - was[i]!),
    [1, 1, 1, 1],
  );
});

test("silence is filled with heartbeats; a reader who leaves changes nothing", async () => {
  const id = await client.start({ inputs: "a !wait" });
  const leave = new AbortController();
  const response = await client.openEvents(id, null, { signal: leave.signal });
  const reader = response.body!.getReader();
  let text = "";
  while (!text.includes(": ping\n\n: ping\n\n")) text += Buffer.from((await reader.read()).value!).toString();
  leave.abort();
  await until(async () => (await metric("seqserve_http_streams_open")) === 0, "the stream is closed");
  assert.equal((await client.state(id)).status, "running");
  assert.equal(server.inference.signals.at(-1)!.aborted, false);
  await client.cancel(id);
});

test("a reader that does not read is closed; the generation goes on and can be read from anywhere", async () => {
  const id = await client.start({ inputs: `${"!big ".repeat(99)}!fail` });
  const stalled = request(`${url}/generations/${id}/events`, (response) => void response.pause());
  stalled.on("error", () => undefined);
  stalled.end();
  await until(async () => (await metric("seqserve_http_streams_open")) === 1, "it is open");
  await until(async () => (await metric("seqserve_http_streams_open")) === 0, "it is closed");
  stalled.destroy();
  const state = await client.untilStatus(id, "failed");
  assert.equal(state.last_event_id, 100);
  assert.deepEqual(idsOf(await client.events(id, 99)), [100]);
});

test("a cancel mid-stream ends every follower with the same terminal event and frees the row", async () => {
  const id = await client.start({ inputs: "!ms=5 a b c !wait" });
  const readers = [client.events(id), client.events(id), client.events(id, 0)];
  await until(async () => (await client.state(id)).last_event_id === 3, "three events are there");
  assert.equal((await client.cancel(id)).status, 202);
  const terminal = {
    id: 4,
    event: "error",
    data: { error: "the generation was cancelled", error_type: "cancelled" },
  };
  for (const events of await Promise.all(readers)) {
    assert.deepEqual(events.at(-1), terminal);
    assert.equal(events.filter(({ event }) => event !== null).length, 1);
  }
  assert.ok(server.inference.signals.at(-1)!.aborted);
  await until(async () => (await server.queue.depth()).running === 0, "its row is free");
  assert.equal((await client.openEvents(id, 4)).status, 204);
});

test("EventSource comes back by itself after cuts, misses nothing, and stops at the end", async () => {
  const id = await client.start({ inputs: `!ms=40 ${Array.from({ length: 60 }, (_, i) => `w${i}`).join(" ")}` });
  const sent: (string | undefined)[] = [];
  const statuses: number[] = [];
  const source = new EventSource(`${url}/generations/${id}/events`, {
    fetch: async (input, init) => {
      sent.push((init.headers as Record<string, string>)["Last-Event-ID"]);
      const response = await fetch(input, init);
      statuses.push(response.status);
      return response;
    },
  });
  const seen: { id: string; text: string }[] = [];
  const onToken = ({ lastEventId, data }: MessageEvent<string>) => {
    seen.push({ id: lastEventId, text: (JSON.parse(data) as { token: { text: string } }).token.text });
    if (seen.length === 5 || seen.length === 30) server.app.server.closeAllConnections();
  };
  source.addEventListener("message", onToken as never);
  let whole = "";
  source.addEventListener("end", (({ data }: MessageEvent<string>) => {
    whole = (JSON.parse(data) as { generated_text: string }).generated_text;
  }) as never);
  await until(() => source.readyState === EventSource.CLOSED, "it has stopped");
  const requests = sent.length;
  await sleep(1500);
  assert.equal(sent.length, requests, "and stays away");
  assert.deepEqual(
    seen.map((event) => Number(event.id)),
    seen.map((_, i) => i + 1),
  );
  assert.equal(seen.map(({ text }) => text).join(""), whole);
  assert.equal(whole.split(" ").length, 60);
  assert.equal(sent.length, 4, "the first, two after cuts, one after the end");
  assert.deepEqual([statuses[0], statuses.at(-1), sent[0], sent.at(-1)], [200, 204, undefined, "62"]);
});

test("a draining server sends followers away at once and does not wait for them", async () => {
  const draining = await testServer({ config: { drainTimeoutMs: 60_000 } });
  const base = await draining.listen();
  const own = new DurableClient(base);
  const id = await own.start({ inputs: "a !gate b" });
  const response = await own.openEvents(id);
  await until(async () => (await own.state(id)).last_event_id === 1, "it runs");
  assert.equal(draining.lifetime.openRequests, 0);
  await draining.lifetime.drain(60_000);
  const events = parseEvents(await response.text());
  assert.deepEqual(events.at(-1), { id: null, event: "reconnect", data: {} });
  assert.deepEqual(idsOf(events), [1, null]);
  const late = await own.openEvents(id, 1);
  assert.deepEqual([late.status, late.headers.get("connection")], [503, "close"]);
  assert.ok(Number(late.headers.get("retry-after")) >= 1);
  assert.equal((await own.post({ inputs: "late" })).status, 503);
  assert.equal((await own.state(id)).status, "running", "it can still be looked up");
  await draining.inference.open();
  await draining.generations.close();
  assert.equal((await own.state(id)).status, "succeeded", "and ends well");
  await draining.close();
});

test("at the end of a drain a stream that continues is told without a number, and reads on elsewhere", async () => {
  const draining = await testServer({ config: { drainTimeoutMs: 60_000 } });
  const own = new DurableClient(await draining.listen());
  const body = { inputs: "a !gate b", stream: true, parameters: { on_disconnect: "continue" } };
  const response = await own.post(body, {}, "/generate");
  const id = response.headers.get("x-generation-id")!;
  await until(async () => (await own.state(id)).last_event_id === 1, "it runs");
  await draining.lifetime.drain(0);
  const events = parseEvents(await response.text());
  assert.deepEqual(
    events.map((event) => [event.id, event.event, event.data["error_type"]]),
    [
      [1, null, undefined],
      [null, "error", "unavailable"],
    ],
  );
  await draining.inference.open();
  await draining.generations.close();
  assert.equal((await own.state(id)).status, "succeeded", "nobody cancelled it");
  await draining.close();
});

for (const path of ["/generate", "/generate_stream"]) {
  test(`${path} that continues can be left and read on at /generations/{id}/events`, async () => {
    const body = { inputs: "!ms=25 a b c d e", stream: true, parameters: { on_disconnect: "continue" } };
    const response = await client.post(body, {}, path);
    const id = response.headers.get("x-generation-id")!;
    const seen = await readSome(response, 2);
    const last = seen.at(-1)!.id;
    assert.equal(last, 2);
    const rest = await client.events(id, last);
    assert.deepEqual(idsOf([...seen, ...rest]), [1, 2, 3, 4, 5, 6, 7]);
    assert.equal(textOf([...seen, ...rest]), rest.at(-1)!.data["generated_text"]);
    assert.equal((await client.state(id)).result!["generated_text"], "A B C D E");
  });
}

test("a JSON request that continues can be left, and its answer fetched", async () => {
  const leave = new AbortController();
  const count = server.inference.signals.length;
  const answer = fetch(`${url}/generate`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ inputs: "!ms=40 left alone", parameters: { on_disconnect: "continue" } }),
    signal: leave.signal,
  });
  answer.catch(() => undefined);
  await until(() => server.inference.signals.length > count, "it runs");
  leave.abort();
  await until(() => server.lifetime.openRequests === 0, "the request is over");
  const page = (await (await client.get("/generations?limit=1")).json()) as { generations: { id: string }[] };
  const state = await client.untilStatus(page.generations[0]!.id, "succeeded");
  assert.equal(state.result!["generated_text"], "LEFT ALONE");
});

test("a request that continues answers as any other while its client stays", async () => {
  const parameters = { on_disconnect: "continue", details: true };
  const plain = await (await client.post({ inputs: "a b", parameters: { details: true } }, {}, "/generate")).json();
  const response = await client.post({ inputs: "a b", parameters }, {}, "/generate");
  const durable = (await response.json()) as { id: string };
  assert.deepEqual(durable, { ...(plain as object), id: durable.id });
  assert.deepEqual((await client.state(durable.id)).result, durable);
  const failed = await client.post({ inputs: "a !fail", parameters }, {}, "/generate");
  assert.deepEqual([failed.status, ((await failed.json()) as { error_type: string }).error_type], [424, "generation"]);
  const events = parseEvents(
    await (await client.post({ inputs: "a !fail", stream: true, parameters }, {}, "/generate")).text(),
  );
  assert.deepEqual([events.at(-1)!.event, events.at(-1)!.id], ["error", 2]);
});

test("several inputs that continue are durable each, and stand or fall together while they are read", async () => {
  const parameters = { on_disconnect: "continue" };
  const response = await client.post({ inputs: ["!ms=10 a b", "c"], stream: true, parameters }, {}, "/generate");
  const ids = response.headers.get("x-generation-id")!.split(", ");
  const events = parseEvents(await response.text());
  assert.deepEqual(
    idsOf(events),
    events.map((_, i) => i + 1),
    "ids count over all",
  );
  assert.equal((await client.state(ids[0]!)).result!["generated_text"], "A B");
  assert.equal((await client.state(ids[1]!)).result!["generated_text"], "C");
  const failing = await client.post({ inputs: ["a !wait", "!ms=20 b !fail"], parameters }, {}, "/generate");
  assert.equal(failing.status, 424);
  const [waiting] = failing.headers.get("x-generation-id")!.split(", ");
  assert.equal((await client.untilStatus(waiting!, "cancelled")).status, "cancelled");
  const small = await testServer({ config: { maxQueuedRequests: 2 } });
  const own = new DurableClient(await small.listen());
  const refused = await own.post({ inputs: ["a !wait", "b !wait", "c !wait"], parameters }, {}, "/generate");
  assert.equal(refused.status, 429);
  await until(async () => {
    const { running, queuedRequests } = await small.queue.depth();
    return running + queuedRequests === 0;
  }, "those that got in are gone");
  await small.close();
});

test("DELETE also stops a generation whose stream is being read at /generate", async () => {
  const body = { inputs: "a !wait", stream: true, parameters: { on_disconnect: "continue" } };
  const response = await client.post(body, {}, "/generate");
  const id = response.headers.get("x-generation-id")!;
  await client.untilStatus(id, "running");
  assert.equal((await client.cancel(id)).status, 202);
  const events = parseEvents(await response.text());
  assert.deepEqual(events.at(-1)!.data, { error: "the generation was cancelled", error_type: "cancelled" });
});

test("a plain request can't be looked up: only its own client reads it", async () => {
  const response = await client.post({ inputs: "a" }, {}, "/generate");
  const id = response.headers.get("x-generation-id")!;
  assert.equal((await client.get(`/generations/${id}`)).status, 404);
  const prepared = await server.inference.prepare({ inputs: "a b", parameters: {} });
  const origin = { owner: "", createdAt: Date.now(), priority: 5, webhookUrl: null };
  const plain: GenerationRecord = { ...origin, id: prepared.id, prepared, request: null };
  await server.generations.start(plain as LookupRecord);
  for (const path of ["", "/events"]) {
    assert.equal((await client.get(`/generations/${prepared.id}${path}`)).status, 404, "nor where a log holds it");
  }
});

test("nothing is left behind", async () => {
  await until(async () => (await metric("seqserve_http_streams_open")) === 0, "no stream is open");
  await until(() => server.lifetime.openRequests === 0, "no request is open");
  await until(async () => (await metric("seqserve_requests_running")) === 0, "no generation runs");
  assert.deepEqual(await server.queue.depth(), { queuedRequests: 0, queuedTokens: 0, running: 0 });
});
