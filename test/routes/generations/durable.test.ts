// /generations without its events: start once per key, look up, list, cancel; whose they are and how many.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { DurableClient } from "../../support/clients/durable-client.js";
import { testServer, type TestServer } from "../../support/servers/scripted.js";
import { until } from "../../support/until.js";

let server: TestServer;
let client: DurableClient;
before(async () => {
  server = await testServer();
  client = new DurableClient(await server.listen());
});
after(() => server.close());

type Body = Record<string, unknown>;

async function refused(response: Promise<Response>, status: number, field: string | undefined, error: RegExp) {
  const answer = await response;
  const body = (await answer.json()) as { error: string; field?: string };
  assert.equal(answer.status, status, JSON.stringify(body));
  assert.equal(body.field, field);
  assert.match(body.error, error);
  return answer;
}

describe("starting", () => {
  test("answers 202 with the id, where it is, and its state at the time", async () => {
    const response = await client.post({ inputs: "hello world", priority: 3 });
    const body = (await response.json()) as Body;
    assert.equal(response.status, 202);
    assert.match(String(body["id"]), /^[\da-f]{32}$/u);
    assert.equal(response.headers.get("location"), `/generations/${String(body["id"])}`);
    assert.equal(response.headers.get("x-generation-id"), body["id"]);
    assert.ok(["queued", "running", "succeeded"].includes(String(body["status"])));
    assert.deepEqual([body["model"], body["priority"]], ["echo", 3]);
    assert.ok(Math.abs(Date.parse(String(body["created_at"])) - Date.now()) < 60_000);
    assert.equal(server.inference.requests.at(-1)!.priority, 3);
  });

  test("then its result is the answer that /generate gives", async () => {
    for (const parameters of [
      {},
      { details: true, decoder_input_details: true, top_n_tokens: 1, attention: true },
      { best_of: 3, do_sample: true, details: true },
      { return_full_text: true },
    ]) {
      const id = await client.start({ inputs: "hello world", parameters });
      const state = await client.untilStatus(id, "succeeded");
      const direct = (await (await client.post({ inputs: "hello world", parameters }, {}, "/generate")).json()) as Body;
      assert.deepEqual(state.result, { ...direct, id });
      assert.equal(state.error, null);
    }
  });

  test("a failure is told as /generate tells it", async () => {
    const failed = await client.untilStatus(await client.start({ inputs: "a !fail" }), "failed");
    assert.deepEqual(failed.error, { error: "the model failed on this request", error_type: "generation" });
    assert.equal(failed.result, null);
    const crashed = await client.untilStatus(await client.start({ inputs: "a !crash" }), "failed");
    assert.deepEqual(crashed.error, { error: "internal error", error_type: "internal" });
    assert.ok(
      server.lines.some((line) => line["generation_id"] === crashed.id && JSON.stringify(line).includes("secret")),
      "but the log has the cause",
    );
  });

  const refusals: [string, unknown, number, string | undefined, RegExp][] = [
    ["stream", { inputs: "a", stream: true }, 422, "stream", /read the events at GET \/generations\/\{id\}\/events/u],
    ["stream: false", { inputs: "a", stream: false }, 422, "stream", /not here/u],
    ["several texts", { inputs: ["a", "b"] }, 422, "inputs", /must be one text/u],
    ["no text", {}, 422, "inputs", /is required/u],
    ["an empty text", { inputs: "" }, 422, "inputs", /must not be empty/u],
    ["half a character", { inputs: "\ud800" }, 422, "inputs", /surrogate/u],
    ["a misspelt field", { inputs: "a", priorty: 1 }, 422, "priorty", /did you mean priority\?/u],
    ["priority 0", { inputs: "a", priority: 0 }, 422, "priority", />= 1 \(got 0\)/u],
    ["priority 11", { inputs: "a", priority: 11 }, 422, "priority", /<= 10 \(got 11\)/u],
    ["priority 1.5", { inputs: "a", priority: 1.5 }, 422, "priority", /whole number/u],
    ["a wrong parameter", { inputs: "a", parameters: { top_k: -1 } }, 422, "parameters.top_k", />= 0/u],
    ["an unknown model", { inputs: "a", model: "nope" }, 404, "model", /no model/u],
    ["too long a text", { inputs: "a ".repeat(200) }, 422, "inputs", /at most 100/u],
    [
      "on_disconnect: cancel",
      { inputs: "a", parameters: { on_disconnect: "cancel" } },
      422,
      "parameters.on_disconnect",
      /cancel it by DELETE/u,
    ],
    [
      "a text to be split",
      { inputs: "a", parameters: { split: "sentences" } },
      422,
      "parameters.split",
      /not for durable generations/u,
    ],
    [
      "a webhook without a secret",
      { inputs: "a", webhook_url: "https://a.example" },
      422,
      "webhook_url",
      /WEBHOOK_SECRET/u,
    ],
    ["an array", [], 422, "body", /must be an object/u],
  ];
  for (const [title, body, status, field, error] of refusals) {
    test(`${title}: ${status}`, async () => void (await refused(client.post(body), status, field, error)));
  }

  test("null means not given", async () => {
    const nothing = { model: null, parameters: null, priority: null, webhook_url: null };
    assert.equal((await client.post({ inputs: "a", ...nothing })).status, 202);
  });

  test("a query is refused by name, on every route", async () => {
    const id = await client.start({ inputs: "a" });
    await refused(client.post({ inputs: "a" }, {}, "/generations?wait=1"), 422, "wait", /unknown field/u);
    for (const path of ["/generations?limt=1", `/generations/${id}?x=1`, `/generations/${id}/events?last_event=1`]) {
      await refused(client.get(path), 422, /\?(\w+)=/u.exec(path)![1], /unknown field/u);
    }
    await refused(client.get("/generations?limt=1"), 422, "limt", /did you mean limit\?/u);
    await refused(client.get(`/generations/${id}/events?last_event=1`), 422, "last_event", /last_event_id\?/u);
  });

  test("a full queue is a 429 with Retry-After, and nothing is kept", async () => {
    const full = await testServer({ config: { maxQueuedRequests: 1 } });
    const own = new DurableClient(await full.listen());
    const first = await own.start({ inputs: "!wait" });
    const answer = await refused(own.post({ inputs: "late" }), 429, undefined, /queue is full/u);
    assert.ok(Number(answer.headers.get("retry-after")) >= 1);
    const { generations } = (await (await own.get("/generations")).json()) as { generations: Body[] };
    assert.deepEqual(
      generations.map(({ id }) => id),
      [first],
    );
    await full.close();
  });
});

describe("looking up", () => {
  test("what is not there, or no id at all, is a 404", async () => {
    for (const id of ["0".repeat(32), "x", "..%2fx", "0".repeat(33), "A".repeat(32), "%00"]) {
      await refused(client.get(`/generations/${id}`), 404, undefined, /no such generation/u);
      await refused(client.get(`/generations/${id}/events`), 404, undefined, /no such generation/u);
      await refused(client.cancel(id), 404, undefined, /no such generation/u);
    }
  });

  test("what has expired is a 410", async () => {
    const brief = await testServer({ config: { generationTtlSeconds: 1 } });
    const own = new DurableClient(await brief.listen());
    const id = await own.start({ inputs: "a" });
    await own.untilStatus(id, "succeeded");
    await until(async () => (await own.get(`/generations/${id}`)).status === 410, "it expires");
    for (const path of [`/generations/${id}`, `/generations/${id}/events`]) {
      const answer = await refused(own.get(path), 410, undefined, /GENERATION_TTL/u);
      assert.equal(answer.status, 410);
    }
    await refused(own.openEvents(id, 1), 410, undefined, /GENERATION_TTL/u);
    assert.deepEqual(await (await own.get("/generations")).json(), { generations: [], next: null });
    assert.match(await brief.metrics.text(), /resume_total\{result="expired"\} 1/u);
    await brief.close();
  });

  test("the list is newest first, in pages", async () => {
    const own = await testServer();
    const pages = new DurableClient(await own.listen());
    const ids: string[] = [];
    for (let i = 0; i < 7; i += 1) {
      ids.push(await pages.start({ inputs: `a${i}` }));
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    const seen: unknown[] = [];
    let path: string | null = "/generations?limit=3";
    while (path !== null) {
      const page = (await (await pages.get(path)).json()) as { generations: Body[]; next: string | null };
      seen.push(...page.generations.map(({ id }) => id));
      path = page.next === null ? null : `/generations?limit=3&before=${encodeURIComponent(page.next)}`;
    }
    assert.deepEqual(seen, ids.reverse());
    for (const limit of ["0", "101", "-1", "1.5", "ten", "", "1e2", " 1"]) {
      const query = `limit=${encodeURIComponent(limit)}`;
      await refused(pages.get(`/generations?${query}`), 422, "limit", /whole number from 1 to 100/u);
    }
    for (const cursor of ["x", "999", "%00", "..", "0-0"]) {
      await refused(pages.get(`/generations?before=${encodeURIComponent(cursor)}`), 422, "before", /./u);
    }
    await refused(pages.get("/generations?limit=1&limit=2"), 422, "limit", /must be a string/u);
    await own.close();
  });
});

describe("cancelling", () => {
  test("stops it, frees its row and ends it with one error event; a second time there is nothing to do", async () => {
    const id = await client.start({ inputs: "a !wait" });
    await client.untilStatus(id, "running");
    const signal = server.inference.signals.at(-1)!;
    const response = await client.cancel(id);
    assert.equal(response.status, 202);
    assert.equal(((await response.json()) as Body)["id"], id);
    const state = await client.untilStatus(id, "cancelled");
    assert.deepEqual(state.error, { error: "the generation was cancelled", error_type: "cancelled" });
    assert.ok(signal.aborted);
    await until(async () => (await server.queue.depth()).running === 0, "its place is free");
    const again = await client.cancel(id);
    assert.deepEqual([again.status, await again.text()], [204, ""]);
    const events = await client.events(id);
    assert.deepEqual(
      events.map(({ event }) => event),
      [null, "error"],
    );
    assert.deepEqual(events[1]!.data, { error: "the generation was cancelled", error_type: "cancelled" });
  });

  test("one that succeeded keeps its result", async () => {
    const id = await client.start({ inputs: "a" });
    await client.untilStatus(id, "succeeded");
    assert.equal((await client.cancel(id)).status, 204);
    assert.equal((await client.state(id)).status, "succeeded");
  });
});

describe("Idempotency-Key", () => {
  const keyed = (body: unknown, key: string, own = client) => own.post(body, { "idempotency-key": key });
  const idOf = async (response: Response) => ((await response.json()) as { id: string }).id;

  test("the same key and body start nothing again and get the same generation", async () => {
    const body = { inputs: "once", parameters: { details: true, max_new_tokens: 5 }, priority: 2 };
    const reordered = { priority: 2, parameters: { max_new_tokens: 5, details: true }, inputs: "once" };
    const first = await keyed(body, '"key 1"');
    assert.equal(first.headers.get("idempotent-replayed"), null);
    const id = await idOf(first);
    const count = server.inference.requests.length;
    for (const again of [body, reordered]) {
      const replay = await keyed(again, '"key 1"');
      assert.equal(replay.status, 202);
      assert.equal(replay.headers.get("idempotent-replayed"), "true");
      assert.equal(replay.headers.get("location"), `/generations/${id}`);
      assert.equal(await idOf(replay), id);
    }
    assert.equal(server.inference.requests.length, count);
  });

  test("another body is a 409 that names the header, and does not disturb the first", async () => {
    const id = await idOf(await keyed({ inputs: "first" }, "key-2"));
    await refused(keyed({ inputs: "second" }, "key-2"), 409, "Idempotency-Key", /another body/u);
    assert.equal(await idOf(await keyed({ inputs: "first" }, "key-2")), id);
  });

  test("a key may be quoted or bare: it is the same key", async () => {
    const id = await idOf(await keyed({ inputs: "quoted" }, '"key-3"'));
    assert.equal(await idOf(await keyed({ inputs: "quoted" }, "key-3")), id);
    const odd = await idOf(await keyed({ inputs: "odd" }, String.raw`"a\"b\\c"`));
    assert.equal(await idOf(await keyed({ inputs: "odd" }, String.raw`"a\"b\\c"`)), odd);
  });

  test("keys that are none are refused", async () => {
    for (const key of [
      '""',
      "",
      '"open',
      "a b",
      'a"b',
      String.raw`"a\b"`,
      '"a";x=1',
      "ü",
      "x".repeat(256),
      `"${"x".repeat(256)}"`,
    ]) {
      await refused(keyed({ inputs: "a" }, key), 422, "Idempotency-Key", /^Idempotency-Key: must/u);
    }
    assert.equal((await keyed({ inputs: "a" }, "x".repeat(255))).status, 202);
  });

  test("twenty at the same time start one generation", async () => {
    for (let round = 0; round < 5; round += 1) {
      const count = server.inference.requests.length;
      const responses = await Promise.all(Array.from({ length: 20 }, () => keyed({ inputs: "race" }, `race-${round}`)));
      const ids = new Set(await Promise.all(responses.map(idOf)));
      assert.equal(ids.size, 1);
      assert.ok(responses.every(({ status }) => status === 202));
      assert.equal(responses.filter(({ headers }) => headers.get("idempotent-replayed") === null).length, 1);
      assert.equal(server.inference.requests.length, count + 1);
    }
  });

  test("of twenty with different bodies one wins and the others are told", async () => {
    const send = (_: unknown, i: number) => keyed({ inputs: `race ${i}` }, "contested");
    const statuses = (await Promise.all(Array.from({ length: 20 }, send))).map(({ status }) => status);
    assert.equal(statuses.filter((status) => status === 202).length, 1);
    assert.equal(statuses.filter((status) => status === 409).length, 19);
  });

  test("a start that failed frees the key", async () => {
    await refused(keyed({ inputs: "a ".repeat(200) }, "free-1"), 422, "inputs", /at most 100/u);
    assert.equal((await keyed({ inputs: "another body" }, "free-1")).status, 202);
    const full = await testServer({ config: { maxQueuedRequests: 1 } });
    const own = new DurableClient(await full.listen());
    const blocking = await own.start({ inputs: "!wait" });
    assert.equal((await keyed({ inputs: "a" }, "free-2", own)).status, 429);
    await own.cancel(blocking);
    await own.untilStatus(blocking, "cancelled");
    assert.equal((await keyed({ inputs: "another body" }, "free-2", own)).status, 202);
    await full.close();
  });
});

describe("keys of the server", () => {
  let keyedServer: TestServer;
  let mine: DurableClient;
  let yours: DurableClient;
  before(async () => {
    keyedServer = await testServer({ config: { apiKeys: ["mine", "yours"], maxGenerationsPerKey: 2 } });
    const url = await keyedServer.listen();
    mine = new DurableClient(url, "mine");
    yours = new DurableClient(url, "yours");
  });
  after(() => keyedServer.close());

  test("a generation is there for its own key only, on every route", async () => {
    const id = await mine.start({ inputs: "a" });
    await mine.untilStatus(id, "succeeded");
    const running = await mine.start({ inputs: "a !wait" });
    for (const other of [id, running]) {
      await refused(yours.get(`/generations/${other}`), 404, undefined, /^no such generation$/u);
      await refused(yours.openEvents(other), 404, undefined, /^no such generation$/u);
      await refused(yours.openEvents(other, 1), 404, undefined, /^no such generation$/u);
      await refused(yours.cancel(other), 404, undefined, /^no such generation$/u);
    }
    assert.deepEqual(await (await yours.get("/generations")).json(), { generations: [], next: null });
    assert.equal((await mine.state(running)).status, "running", "and nobody cancelled it");
    await mine.cancel(running);
    await mine.untilStatus(running, "cancelled");
  });

  test("the same Idempotency-Key of two keys are two", async () => {
    const header = { "idempotency-key": "shared" };
    const [first, second] = [await mine.post({ inputs: "a" }, header), await yours.post({ inputs: "b" }, header)];
    assert.deepEqual([first.status, second.status], [202, 202]);
  });

  test("without a key nothing is told", async () => {
    const nobody = new DurableClient(keyedServer.app.listeningOrigin);
    for (const path of ["/generations", "/generations/x", "/generations/x/events"]) {
      assert.equal((await nobody.get(path)).status, 401, path);
    }
    assert.equal((await nobody.post({ inputs: "a" })).status, 401);
    assert.equal((await nobody.cancel("x")).status, 401);
  });

  test("a key has MAX_GENERATIONS_PER_KEY open at a time: durable ones, streams and JSON count alike", async () => {
    const durable = await mine.start({ inputs: "!wait" });
    const leave = new AbortController();
    const stream = await fetch(`${keyedServer.app.listeningOrigin}/generate`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: "Bearer mine" },
      body: JSON.stringify({ inputs: "!wait", stream: true }),
      signal: leave.signal,
    });
    assert.equal(stream.status, 200);
    const count = keyedServer.inference.requests.length;
    for (const path of ["/generate", "/generate_stream", "/generations"]) {
      const answer = await refused(mine.post({ inputs: "a" }, {}, path), 429, undefined, /MAX_GENERATIONS_PER_KEY/u);
      assert.equal(answer.headers.get("retry-after"), "1");
    }
    assert.equal(keyedServer.inference.requests.length, count, "nothing was even prepared");
    assert.equal((await yours.post({ inputs: "a" }, {}, "/generate")).status, 200, "others are not held up");
    assert.equal((await yours.post({ inputs: ["a", "b", "c"] }, {}, "/generate")).status, 429, "each text counts");
    leave.abort();
    await until(async () => (await mine.post({ inputs: "a" }, {}, "/generate")).status === 200, "its place is free");
    await mine.cancel(durable);
    await mine.untilStatus(durable, "cancelled");
    await until(async () => (await mine.post({ inputs: ["a", "b"] }, {}, "/generate")).status === 200, "both are free");
  });

  test("the bound counts on other servers' surfaces too, and their places are freed", async () => {
    const three = { model: "echo", prompt: ["a", "b", "c"], max_tokens: 4 };
    for (let i = 0; i < 3; i += 1) {
      assert.equal((await mine.post(three, {}, "/v1/completions")).status, 429);
      assert.equal((await mine.post({ ...three, prompt: ["a", "b"] }, {}, "/v1/completions")).status, 200);
    }
  });

  test("a start that the queue refused frees its place", async () => {
    const full = await testServer({ config: { apiKeys: ["k"], maxGenerationsPerKey: 2, maxQueuedRequests: 1 } });
    const own = new DurableClient(await full.listen(), "k");
    const blocking = await own.start({ inputs: "!wait" });
    for (let i = 0; i < 3; i += 1) {
      await refused(own.post({ inputs: "late" }), 429, undefined, /queue is full/u);
      const continuing = { inputs: "late", parameters: { on_disconnect: "continue" } };
      await refused(own.post(continuing, {}, "/generate"), 429, undefined, /queue is full/u);
    }
    await own.cancel(blocking);
    await own.untilStatus(blocking, "cancelled");
    assert.equal((await own.post({ inputs: "a" }, {}, "/generate")).status, 200);
    await full.close();
  });

  test("places are freed however a request ends", async () => {
    for (const inputs of ["a !fail", "a !crash", "a ".repeat(200), "a"]) {
      for (const path of ["/generate", "/generate_stream", "/generations"]) {
        for (let i = 0; i < 3; i += 1) {
          let status = 0;
          await until(
            async () => {
              const response = await mine.post({ inputs }, {}, path);
              status = response.status;
              await response.text();
              return status !== 429;
            },
            `${path} ${inputs.slice(0, 10)} has a place`,
          );
        }
      }
    }
  });
});
