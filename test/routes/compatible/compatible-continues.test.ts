// on_disconnect "continue" on other servers' surfaces: where it can be sent it means what it means on /generate; where it cannot, it is refused by name.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DurableClient, readSome } from "../../support/clients/durable-client.js";
import { testServer, type TestServer } from "../../support/servers/scripted.js";
import { until } from "../../support/until.js";

let server: TestServer;
let client: DurableClient;
let url: string;
before(async () => {
  server = await testServer();
  url = await server.listen();
  client = new DurableClient(url);
});
after(() => server.close());

async function newest(): Promise<string> {
  const page = (await (await client.get("/generations?limit=1")).json()) as { generations: { id: string }[] };
  return page.generations[0]?.id ?? "none";
}

const text = "!ms=25 a b c d e";
const option = { on_disconnect: "continue" };
const messages = [{ role: "user", content: text }];
const answering: [path: string, body: object][] = [
  ["/", { inputs: text, parameters: option }],
  ["/v1/completions", { prompt: text, ...option }],
  ["/v1/chat/completions", { messages, ...option }],
  ["/v2/models/echo/generate", { text_input: text, parameters: option }],
];
const streaming: typeof answering = [
  ...answering.slice(0, 3).map(([path, body]): [string, object] => [path, { ...body, stream: true }]),
  ["/v2/models/echo/generate_stream", { text_input: text, parameters: option }],
];

for (const [path, body] of streaming) {
  test(`${path}: a stream that continues is left, goes on, and is read on under its X-Generation-Id`, async () => {
    const response = await client.post(body, {}, path);
    assert.equal(response.status, 200);
    const id = response.headers.get("x-generation-id")!;
    await readSome(response, 1);
    await until(() => server.lifetime.openRequests === 0, "the request is over");
    const events = await client.events(id);
    assert.equal(events.at(-1)!.data["generated_text"], "A B C D E");
    assert.equal((await client.state(id)).status, "succeeded");
  });
}

for (const [path, body] of answering) {
  test(`${path}: a JSON request that continues answers as any other while its client stays, and can be looked up`, async () => {
    const response = await client.post(body, {}, path);
    assert.equal(response.status, 200);
    assert.match(await response.text(), /A B C D E/u);
    const id = response.headers.get("x-generation-id")!;
    assert.equal((await client.state(id)).result!["generated_text"], "A B C D E");
  });

  test(`${path}: a JSON request that continues can be left, and its answer fetched`, async () => {
    const before = await newest();
    const leave = new AbortController();
    const count = server.inference.signals.length;
    const headers = { "content-type": "application/json" };
    const request = { method: "POST", headers, body: JSON.stringify(body), signal: leave.signal };
    const answer = fetch(url + path, request);
    answer.catch(() => undefined);
    await until(() => server.inference.signals.length > count, "it runs");
    leave.abort();
    await until(() => server.lifetime.openRequests === 0, "the request is over");
    const id = await newest();
    assert.notEqual(id, before);
    const state = await client.untilStatus(id, "succeeded");
    assert.equal(state.result!["generated_text"], "A B C D E");
  });
}

test("several prompts that continue are durable each", async () => {
  const response = await client.post({ prompt: ["a b", "c"], ...option }, {}, "/v1/completions");
  const ids = response.headers.get("x-generation-id")!.split(", ");
  await response.text();
  const texts: unknown[] = [];
  for (const id of ids) texts.push((await client.state(id)).result!["generated_text"]);
  assert.deepEqual(texts, ["A B", "C"]);
});

test("without it nothing can be looked up, and /translate has no place for it", async () => {
  const response = await client.post({ prompt: "a" }, {}, "/v1/completions");
  await response.text();
  assert.equal((await client.get(`/generations/${response.headers.get("x-generation-id")}`)).status, 404);
  const refused = await client.post({ q: "a", source: "en", target: "de", ...option }, {}, "/translate");
  assert.equal(refused.status, 422);
  assert.equal(((await refused.json()) as { field: string }).field, "on_disconnect");
});
