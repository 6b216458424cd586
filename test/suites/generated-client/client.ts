// A program against the client that openapi-typescript generates: what compiles here is what users of openapi.yaml get to write.
// Compiled and run by test/process/generated-client.test.ts beside the generated api.ts; not part of the project's own build.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import createClient from "openapi-fetch";
import type { components, paths } from "./api.js";

type Schemas = components["schemas"];

const text = "knights";
const spoken = "N AY1 T S";

/** Tests of a server with the shipped models that wants this key. */
export function testGeneratedClient(baseUrl: string, key: string): void {
  const options = { baseUrl, headers: { authorization: `Bearer ${key}` } };
  // Some answers come as JSON or as events: this is who wants which.
  const client = createClient<paths, "application/json">(options);
  const reader = createClient<paths, "text/event-stream">(options);

  describe("POST /generate", () => {
    test("answers one text, with details", async () => {
      const { data, error } = await client.POST("/generate", {
        body: { inputs: text, model: "g2p-en", parameters: { details: true, top_n_tokens: 2 } },
      });
      assert.ok(error === undefined && !Array.isArray(data));
      assert.equal(data.generated_text, spoken);
      assert.equal(data.details?.finish_reason, "eos_token");
      const logprob: number | null | undefined = data.details.tokens[0]?.logprob;
      assert.ok(typeof logprob === "number" && logprob <= 0);
      assert.equal(data.details.top_tokens?.[0]?.length, 2);
    });

    test("answers several in order", async () => {
      const { data } = await client.POST("/generate", { body: { inputs: [text, "world"], model: "g2p-en" } });
      assert.ok(Array.isArray(data));
      const answers: Schemas["Generation"][] = data;
      assert.deepEqual([answers.length, answers[0]?.generated_text], [2, spoken]);
    });

    test("knows its errors: of the body, of the model, of the key", async () => {
      const wrong = await client.POST("/generate", { body: { inputs: text, parameters: { top_p: 7 } } });
      assert.ok(wrong.error !== undefined);
      const { error, error_type, field }: Schemas["Error"] = wrong.error;
      assert.deepEqual([wrong.response.status, error_type, field], [422, "validation", "parameters.top_p"]);
      assert.match(error, /must be <= 1/u);
      const unknown = await client.POST("/generate", { body: { inputs: text, model: "nobody" } });
      assert.deepEqual([unknown.response.status, unknown.error?.error_type], [404, "not_found"]);
      const keyless = await createClient<paths>({ baseUrl }).POST("/generate", { body: { inputs: text } });
      assert.deepEqual([keyless.response.status, keyless.error?.error_type], [401, "unauthorized"]);
    });

    test("does not compile with fields that are not there", async () => {
      // @ts-expect-error inputs is required
      const { response } = await client.POST("/generate", { body: { model: "g2p-en" } });
      assert.equal(response.status, 422);
      // @ts-expect-error a whole number, not text
      const typed = await client.POST("/generate", { body: { inputs: text, parameters: { num_beams: "4" } } });
      assert.equal(typed.response.status, 422);
      // @ts-expect-error no such field
      const named = await client.POST("/generate", { body: { inputs: text, parameters: { beams: 4 } } });
      assert.equal(named.error?.field, "parameters.beams");
    });
  });

  test("POST /generate_stream is read as it comes", async () => {
    const { data, response } = await reader.POST("/generate_stream", {
      body: { inputs: text, model: "g2p-en" },
      parseAs: "stream",
    });
    assert.equal(response.status, 200);
    assert.ok(data);
    const pieces: string[] = [];
    let end: Schemas["EndEvent"] | undefined;
    for await (const event of eventsOf(data)) {
      if (event.generated_text === null) pieces.push(event.token.text);
      else end = event;
    }
    assert.deepEqual([end?.generated_text, end?.finish_reason, pieces.join("")], [spoken, "eos_token", spoken]);
  });

  test("models are told of, and one of them", async () => {
    const { data: models } = await client.GET("/models");
    assert.deepEqual(models?.models.map(({ name }) => name).sort(), ["g2p-en", "itn-en"]);
    assert.equal(models?.default, "g2p-en");
    const { data: model } = await client.GET("/models/{name}", { params: { path: { name: "itn-en" } } });
    assert.ok(model !== undefined && model.limits.max_input_tokens > 0 && model.state === "ready");
    const { error } = await client.GET("/models/{name}", { params: { path: { name: "nobody" } } });
    assert.equal(error?.error_type, "not_found");
  });

  test("texts become ids and back", async () => {
    const { data: tokens } = await client.POST("/tokenize", { body: { inputs: text, model: "g2p-en" } });
    assert.ok(tokens !== undefined && tokens.length >= text.length);
    const { data: answer } = await client.POST("/generate", { body: { inputs: text, model: "g2p-en" } });
    assert.ok(answer !== undefined && !Array.isArray(answer));
    const ids = answer.outputs[0]?.ids ?? [];
    const { data } = await client.POST("/detokenize", { body: { ids, model: "g2p-en" } });
    assert.equal(data?.text, spoken);
  });

  test("a generation is started once, followed, looked up, listed and cancelled", async () => {
    const start = () =>
      client.POST("/generations", {
        body: { inputs: text, model: "g2p-en" },
        params: { header: { "Idempotency-Key": `key-${baseUrl}` } },
      });
    const { data: started, response } = await start();
    assert.ok(started !== undefined);
    assert.equal(response.headers.get("location"), `/generations/${started.id}`);
    assert.equal((await start()).data?.id, started.id);
    const params = { path: { id: started.id } };
    const { data: events } = await reader.GET("/generations/{id}/events", { params, parseAs: "stream" });
    assert.ok(events);
    let last: Event | undefined;
    for await (const event of eventsOf(events)) last = event;
    assert.equal(last?.generated_text, spoken);
    const { data: state } = await client.GET("/generations/{id}", { params });
    assert.deepEqual([state?.status, state?.result?.generated_text], ["succeeded", spoken]);
    const { data: page } = await client.GET("/generations", { params: { query: { limit: "1" } } });
    assert.equal(page?.generations[0]?.id, started.id);
    const cancelled = await client.DELETE("/generations/{id}", { params });
    assert.deepEqual([cancelled.response.status, cancelled.error], [204, undefined]);
    const nobody = { path: { id: "0".repeat(32) } };
    const { error } = await client.GET("/generations/{id}", { params: { path: nobody.path } });
    assert.equal(error?.error_type, "not_found");
  });

  test("an answer is explained", async () => {
    const { data } = await client.POST("/explain", { body: { inputs: text, model: "g2p-en" } });
    assert.equal(data?.generated_text, spoken);
    assert.equal(data.occlusion?.length, data.tokens.length);
  });

  test("OpenAI's and KServe's routes are typed too", async () => {
    const { data: chat } = await client.POST("/v1/chat/completions", {
      body: { model: "g2p-en", messages: [{ role: "user", content: text }] },
    });
    assert.deepEqual([chat?.object, chat?.choices[0]?.message?.content], ["chat.completion", spoken]);
    const { error } = await client.POST("/v1/chat/completions", { body: { messages: [] } });
    const told: Schemas["OpenAiError"] | undefined = error;
    assert.deepEqual([told?.error.type, told?.error.param], ["invalid_request_error", "messages"]);
    const { data: answer } = await client.POST("/v2/models/{model}/generate", {
      params: { path: { model: "g2p-en" } },
      body: { text_input: text, parameters: { max_tokens: 16 } },
    });
    assert.deepEqual([answer?.model_name, answer?.text_output], ["g2p-en", spoken]);
  });
}

type Event = Schemas["TokenEvent"] | Schemas["EndEvent"];

/** What stands in the `data:` lines. */
async function* eventsOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Event, void, void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const bytes of body) {
    const [last = "", ...blocks] = (rest + decoder.decode(bytes, { stream: true })).split("\n\n").reverse();
    rest = last;
    for (const block of blocks.reverse()) {
      const data = /^data: (.*)$/mu.exec(block)?.[1];
      if (data !== undefined) yield JSON.parse(data) as Event;
    }
  }
}
