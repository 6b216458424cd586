// KServe's and Triton's text surface on the real server: health, models with and without a version, generate, generate_stream.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { modelInfo, ScriptedInference, testServer, wireEvents } from "../../support/servers/scripted.js";
import { zooServer, type ZooServer } from "../../support/servers/zoo-server.js";
import { until } from "../../support/until.js";

const text = "considered";
const answer = "eddis";

let server: ZooServer;
before(async () => {
  server = await zooServer({ models: ["t5", "bart"] });
});
after(() => server.close());

async function post(path: string, body: object) {
  const response = await fetch(`${server.url}/v2/models/${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, type: response.headers.get("content-type"), text: await response.text() };
}

async function generate(body: object) {
  const { status, text: json } = await post("t5/generate", { text_input: text, ...body });
  return { status, body: JSON.parse(json) as Record<string, unknown> };
}

async function stream(body: object) {
  const { type, text: events } = await post("t5/generate_stream", { text_input: text, ...body });
  assert.equal(type, "text/event-stream; charset=utf-8");
  assert.doesNotMatch(events, /\[DONE\]/u);
  return wireEvents(events).map(({ data }) => data);
}

describe("generate", () => {
  test("answers with the text, the model and the request's id", async () => {
    const { status, body } = await generate({ id: "mine" });
    assert.equal(status, 200);
    assert.deepEqual(body, { id: "mine", model_name: "t5", model_version: "1", text_output: answer });
    const versioned = await post("t5/versions/1/generate", { text_input: text });
    assert.equal((JSON.parse(versioned.text) as { text_output: string }).text_output, answer);
  });

  test("honours max_tokens, stop, temperature, seed and the options of /generate", async () => {
    const said = async (parameters: object) => (await generate({ parameters })).body["text_output"];
    assert.equal(await said({ max_tokens: 3 }), "eddi");
    assert.equal(await said({ stop: ["di"] }), "ed");
    assert.equal(await said({ temperature: 0, exclude_input_in_output: true }), answer);
    const drawn = { temperature: 3, max_tokens: 20 };
    assert.equal(await said({ ...drawn, seed: 5 }), await said({ ...drawn, seed: 5 }));
    assert.notEqual(await said({ ...drawn, seed: 5 }), await said({ ...drawn, seed: 6 }));
    assert.equal(typeof (await said({ ...drawn, best_of: 3 })), "string");
  });

  test("details have the tokens, which join to the text", async () => {
    const { body } = await generate({ parameters: { details: true, top_n_tokens: 2 } });
    const details = body["details"] as {
      finish_reason: string;
      generated_tokens: number;
      logprobs: { text: string; logprob: number }[];
      top_tokens: unknown[];
    };
    assert.equal(details.finish_reason, "eos_token");
    assert.equal(details.logprobs.map((token) => token.text).join(""), answer);
    assert.equal(details.generated_tokens, details.logprobs.length);
    assert.equal(details.top_tokens.length, details.logprobs.length);
  });
});

test("a stream's pieces join to the text, the last event says so", async () => {
  for (const parameters of [{}, { details: true }, { num_beams: 3 }, { stop: ["di"] }]) {
    const events = await stream({ parameters, stream: true });
    const whole = (await generate({ parameters })).body["text_output"];
    assert.equal(events.map((event) => event["text_output"]).join(""), whole);
    assert.deepEqual(
      events.map((event) => event["done"]),
      events.map((_, i) => i === events.length - 1),
    );
  }
});

describe("the server and its models", () => {
  const get = async (path: string) => {
    const response = await fetch(server.url + path);
    return { status: response.status, body: (await response.json()) as Record<string, unknown> };
  };

  test("are described", async () => {
    assert.equal((await get("/v2")).body["name"], "seqserve");
    assert.deepEqual(await get("/v2/health/live"), { status: 200, body: { live: true } });
    assert.deepEqual(await get("/v2/health/ready"), { status: 200, body: { ready: true } });
    for (const path of ["/v2/models/bart", "/v2/models/bart/versions/1"]) {
      const { body } = await get(path);
      assert.deepEqual([body["name"], body["versions"]], ["bart", ["1"]]);
      assert.deepEqual(body["inputs"], [{ name: "text_input", datatype: "BYTES", shape: [1] }]);
    }
    assert.deepEqual(await get("/v2/models/bart/ready"), { status: 200, body: { name: "bart", ready: true } });
  });

  test("that are not there are a 404 that names what is", async () => {
    const wrong = await get("/v2/models/barts");
    assert.equal(wrong.status, 404);
    assert.match(String(wrong.body["error"]), /did you mean bart/u);
    assert.match(String((await get("/v2/models/bart/versions/7")).body["error"]), /in version 1/u);
    assert.equal((await post("barts/generate", { text_input: text })).status, 404);
  });

  test("that are loading or failed are not ready", async () => {
    const inference = new ScriptedInference([modelInfo({ state: "failed" })]);
    const failed = await testServer({ inference });
    assert.equal((await failed.app.inject({ url: "/v2/models/echo/ready" })).statusCode, 503);
    assert.equal((await failed.app.inject({ url: "/v2/health/ready" })).statusCode, 503);
    assert.equal((await failed.app.inject({ url: "/v2/health/live" })).statusCode, 200);
    await failed.close();
  });
});

const refusals: [object, string, RegExp][] = [
  [{ text_input: "" }, "text_input", /empty/u],
  [{ text_input: "\uD800" }, "text_input", /surrogate/u],
  [{ stream: true }, "stream", /never streams/u],
  [{ parameters: { max_tokens: 0 } }, "parameters.max_tokens", />= 1/u],
  [{ parameters: { max_tokens: 100_000 } }, "parameters.max_tokens", /must be <=/u],
  [{ parameters: { max_tokens: 1000 } }, "parameters.max_tokens", /at most 512/u],
  [{ parameters: { max_tokens: 1, max_new_tokens: 1 } }, "parameters.max_tokens", /not together/u],
  [{ parameters: { num_return_sequences: 2, num_beams: 2 } }, "parameters.num_return_sequences", /one text/u],
  [{ parameters: { temperature: 0, do_sample: true } }, "parameters.temperature", /> 0/u],
  [{ parameters: { attention: true } }, "parameters.attention", /use \/generate/u],
  [{ parameters: { beam_width: 2 } }, "parameters.beam_width", /unknown field/u],
  [{ parameters: { frequency_penalty: 1 } }, "parameters.frequency_penalty", /not supported/u],
];
for (const [fields, field, message] of refusals) {
  test(`${JSON.stringify(fields)} is a 422 that names ${field}`, async () => {
    const { status, body } = await generate(fields);
    assert.deepEqual([status, body["field"]], [422, field]);
    assert.match(String(body["error"]), message);
  });
}

test("an error after the first token is a last event", async () => {
  const scripted = await testServer();
  const payload = { text_input: "one !fail" };
  const { body } = await scripted.app.inject({ method: "POST", url: "/v2/models/echo/generate_stream", payload });
  const events = wireEvents(body).map(({ data }) => data);
  assert.deepEqual([events[0]?.["text_output"], events.at(-1)?.["error_type"]], ["ONE", "generation"]);
  assert.equal(typeof events.at(-1)?.["error"], "string");
  await scripted.close();
});

test("leaving a stream frees the row", async () => {
  const scripted = await testServer();
  const before = await scripted.cancelled();
  const leaving = new AbortController();
  const response = await fetch(`${await scripted.listen()}/v2/models/echo/generate_stream`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ text_input: "one !wait" }),
    signal: leaving.signal,
  });
  await response.body?.getReader().read();
  leaving.abort();
  await until(async () => (await scripted.cancelled()) > before, "the request's end");
  await scripted.untilIdle();
  await scripted.close();
});
