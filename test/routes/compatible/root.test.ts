// POST /: TGI's array, the texts of Hugging Face's tasks, and what their options become.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { testServer, wireEvents, type TestServer } from "../../support/servers/scripted.js";

let server: TestServer;
before(async () => {
  server = await testServer();
});
after(() => server.close());

async function post(payload: object) {
  const response = await server.app.inject({ method: "POST", url: "/", payload });
  return { status: response.statusCode, text: response.body, headers: response.headers };
}

test("one text is answered with an array of one, under the names of all tasks", async () => {
  const { status, text, headers } = await post({ inputs: "hello world" });
  assert.equal(status, 200);
  const [answer, ...others] = JSON.parse(text) as Record<string, unknown>[];
  assert.deepEqual(others, []);
  for (const name of ["generated_text", "translation_text", "summary_text"])
    assert.equal(answer?.[name], "HELLO WORLD");
  assert.equal(headers["x-generation-id"], answer?.["id"]);
});

test("several texts are answered in their order", async () => {
  const answers = JSON.parse((await post({ inputs: ["a !ms=10", "b"] })).text) as { summary_text: string }[];
  assert.deepEqual(
    answers.map((answer) => answer.summary_text),
    ["A", "B"],
  );
});

test("stream: true streams as /generate does", async () => {
  const { headers, text } = await post({ inputs: "hi", stream: true });
  assert.match(String(headers["content-type"]), /event-stream/u);
  const events = wireEvents(text);
  assert.equal(events.at(-1)?.data["generated_text"], "HI");
  assert.ok(events.every(({ data }) => "token" in data && !("error" in data)));
});

test("generate_parameters are parameters, truncation cuts", async () => {
  const parameters = {
    src_lang: "en",
    tgt_lang: "de",
    generate_parameters: { max_new_tokens: 5 },
    truncation: "only_first",
  };
  await post({ inputs: "hi", parameters });
  const asked = server.inference.requests.at(-1)?.parameters;
  assert.deepEqual(asked, { src_lang: "en", tgt_lang: "de", max_new_tokens: 5, truncate: 1_000_000 });
  await post({ inputs: "hi", parameters: { truncation: "do_not_truncate", clean_up_tokenization_spaces: null } });
  assert.deepEqual(server.inference.requests.at(-1)?.parameters, {});
});

const refusals: [object, string, RegExp][] = [
  [{ generate_parameters: { top_k: -1 } }, "parameters.generate_parameters.top_k", /must be >= 0/u],
  [{ generate_parameters: { best_of: 2 } }, "parameters.generate_parameters.best_of", /needs sampling/u],
  [{ generate_parameters: { topk: 1 } }, "parameters.generate_parameters.topk", /did you mean top_k/u],
  [{ top_k: 3, generate_parameters: { top_k: 4 } }, "parameters.generate_parameters.top_k", /given in parameters too/u],
  [{ truncation: "only_second" }, "parameters.truncation", /must be one of/u],
  [{ truncation: "only_first", truncate: 5 }, "parameters.truncation", /not together with truncate/u],
  [{ clean_up_tokenization_spaces: true }, "parameters.clean_up_tokenization_spaces", /must be/u],
  [{ watermark: true }, "parameters.watermark", /not supported/u],
];
for (const [parameters, field, message] of refusals) {
  test(`${JSON.stringify(parameters)} is a 422 that names ${field}`, async () => {
    const { status, text } = await post({ inputs: "hi", parameters });
    const body = JSON.parse(text) as { error: string; field: string; error_type: string };
    assert.deepEqual([status, body.field, body.error_type], [422, field, "validation"]);
    assert.match(body.error, message);
  });
}

test("/tokenize cuts where TGI's parameters.truncate says", async () => {
  const response = await server.app.inject({
    method: "POST",
    url: "/tokenize",
    payload: { inputs: "a b", parameters: { truncate: 1 } },
  });
  assert.equal(response.statusCode, 200);
});
