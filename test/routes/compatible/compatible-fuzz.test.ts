// Right requests of every compatible surface with a field or two spoilt, the same ones every time: never a 5xx, never silence, always the field at fault;
// and what is answered is what the OpenAPI document says.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Ajv } from "ajv";
import { below, pick, scaled, seededRandom } from "../../support/random.js";
import {
  modelInfo,
  ScriptedInference,
  testServer,
  wireEvents,
  type TestServer,
} from "../../support/servers/scripted.js";

type Body = Record<string, unknown>;

const rights: Readonly<Record<string, readonly Body[]>> = {
  "/": [
    { inputs: "hi", parameters: { max_new_tokens: 5, details: true } },
    {
      inputs: ["a", "b"],
      parameters: { src_lang: "en", tgt_lang: "de", generate_parameters: { num_beams: 2 }, truncation: "only_first" },
    },
  ],
  "/v1/completions": [
    { model: "echo", prompt: "hi", max_tokens: 5, temperature: 1, n: 2, best_of: 2, seed: 1, stop: ["x"], logprobs: 2 },
    {
      model: "dummy",
      prompt: ["a", "b"],
      stream: true,
      stream_options: { include_usage: true },
      logit_bias: { 5: 1 },
      user: "u",
    },
  ],
  "/v1/chat/completions": [
    {
      model: "echo",
      messages: [{ role: "user", content: "hi" }],
      max_completion_tokens: 5,
      logprobs: true,
      top_logprobs: 1,
    },
    {
      messages: [{ role: "user", content: [{ type: "text", text: "hi" }] }],
      stream: true,
      tools: [],
      response_format: { type: "text" },
    },
  ],
  "/translate": [
    { q: "hi", source: "en", target: "de", format: "text", alternatives: 2 },
    { q: ["a", "b"], source: "en", target: ["de", "fr"], api_key: "x" },
  ],
  "/v2/models/echo/generate": [
    { text_input: "hi", id: "x", parameters: { max_tokens: 5, details: true }, stream: false },
  ],
  "/v2/models/echo/generate_stream": [{ text_input: "hi", parameters: { temperature: 0, top_n_tokens: 1 } }],
};

const values: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e308,
  2 ** 53,
  "",
  "hi",
  "\uD800",
  "🙂",
  "x".repeat(2000),
  [],
  [null],
  [""],
  [[]],
  [[1], 2],
  {},
  { a: 1 },
  { include_usage: 1 },
  { type: "image_url" },
  [{ role: "user" }],
  [{ role: "system", content: "x" }],
];
const names = [
  "echo",
  "suffix",
  "grammar",
  "tools",
  "best_of",
  "split",
  "top_logprobs",
  "max_new_tokens",
  "parameters",
  "stream",
  "toString",
  "constructor",
  "",
  "a/b",
  "$ref",
  "0",
];

function spoilt(random: () => number, right: Body): Body {
  const body = structuredClone(right);
  for (let i = 0; i <= below(random, 2); i++) {
    const inner = body["parameters"];
    const place = below(random, 3) === 0 && typeof inner === "object" && inner !== null ? (inner as Body) : body;
    const name = below(random, 3) === 0 ? pick(random, names) : pick(random, Object.keys(place).concat("model"));
    if (below(random, 8) === 0) delete place[name];
    else place[name] = pick(random, values);
  }
  return body;
}

function server(): Promise<TestServer> {
  const languages = { source: ["en"], target: ["de", "fr"] };
  return testServer({ config: { maxInputs: 4 }, inference: new ScriptedInference([modelInfo({ languages })]) });
}

const requests = scaled(2000);

test(`${requests} spoilt requests get an answer below 500 that names the field`, async () => {
  const { app, queue, close } = await server();
  const random = seededRandom(20261126);
  const seen = new Map<string, number>();
  for (let i = 0; i < requests; i++) {
    const url = pick(random, Object.keys(rights));
    const payload = spoilt(random, pick(random, rights[url] ?? []));
    const response = await app.inject({ method: "POST", url, payload });
    const { statusCode: status, body } = response;
    const told = `${status} for ${url} ${JSON.stringify(payload).slice(0, 400)}: ${body.slice(0, 300)}`;
    const key = `${url} ${status < 400 ? "ok" : "refused"}`;
    seen.set(key, (seen.get(key) ?? 0) + 1);
    assert.ok(status < 500 || (status === 501 && url === "/translate"), told);
    if (status < 400) continue;
    const { error, field } = JSON.parse(body) as {
      error: string | { message: string; param: string | null };
      field?: string;
    };
    const [message, param] = typeof error === "string" ? [error, field] : [error.message, error.param];
    assert.equal(typeof error === "object", url.startsWith("/v1"), told);
    assert.ok(message.length > 0 && message.length < 400, told);
    if (status === 422) assert.ok(param != null && message.startsWith(param), `names its field: ${told}`);
    if (url.startsWith("/v1")) assert.ok(!message.includes("parameters."), `in the client's words: ${told}`);
  }
  for (const url of Object.keys(rights)) {
    for (const outcome of ["ok", "refused"])
      assert.ok((seen.get(`${url} ${outcome}`) ?? 0) > scaled(15), `${url} ${outcome}`);
  }
  assert.deepEqual(await queue.depth(), { queuedRequests: 0, queuedTokens: 0, running: 0 });
  await close();
});

test("requests and answers are as the OpenAPI document says", async () => {
  const { app, close } = await server();
  const document = JSON.parse((await app.inject({ url: "/openapi.json" })).body) as {
    components: { schemas: Record<string, object> };
  };
  const ajv = new Ajv({ strict: false });
  for (const [name, schema] of Object.entries(document.components.schemas)) {
    ajv.addSchema(JSON.parse(JSON.stringify(schema).replaceAll("#/components/schemas/", "")) as object, name);
  }
  const conforms = (name: string, value: unknown) => {
    assert.ok(ajv.validate({ $ref: name }, value), `${name}: ${ajv.errorsText()} ${JSON.stringify(value)}`);
  };
  const shapes: Readonly<Record<string, readonly [string, string]>> = {
    "/": ["RootRequest", "TaskAnswer"],
    "/v1/completions": ["CompletionRequest", "Completion"],
    "/v1/chat/completions": ["ChatRequest", "ChatCompletion"],
    "/translate": ["TranslateRequest", "TranslateAnswer"],
    "/v2/models/echo/generate": ["KserveRequest", "KserveAnswer"],
    "/v2/models/echo/generate_stream": ["KserveRequest", "KserveAnswer"],
  };
  for (const [url, [request, answer]] of Object.entries(shapes)) {
    for (const payload of rights[url] ?? []) {
      conforms(request, payload);
      const { statusCode, body, headers } = await app.inject({ method: "POST", url, payload });
      assert.equal(statusCode, 200, body);
      const isStream = String(headers["content-type"]).includes("event-stream");
      const whole = isStream
        ? wireEvents(body.replace("data: [DONE]\n\n", "")).map(({ data }) => data)
        : [JSON.parse(body)].flat();
      for (const item of whole) conforms(answer, item);
    }
  }
  const refused = await app.inject({ method: "POST", url: "/v1/completions", payload: {} });
  conforms("OpenAiError", JSON.parse(refused.body));
  await close();
});
