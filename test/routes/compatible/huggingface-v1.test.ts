// Hugging Face's JavaScript client of today: textGeneration goes to /v1/completions with all options at the root, and its stream reads TGI's fields there.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { InferenceClient, type InferenceClientEndpoint } from "@huggingface/inference";
import { testServer, type TestServer } from "../../support/servers/scripted.js";
import { zooServer, type ZooServer } from "../../support/servers/zoo-server.js";
import { until } from "../../support/until.js";

const text = "considered";
const answer = "eddis";

let server: ZooServer;
let scripted: TestServer;
let client: InferenceClientEndpoint;
let steered: InferenceClientEndpoint;
before(async () => {
  server = await zooServer();
  scripted = await testServer();
  client = new InferenceClient("none").endpoint(server.url);
  steered = new InferenceClient("none").endpoint(await scripted.listen());
});
after(async () => {
  await server.close();
  await scripted.close();
});

test("textGeneration, with TGI's options", async () => {
  const plain = await client.textGeneration({ inputs: text });
  assert.equal(plain.generated_text, answer);
  const parameters = {
    max_new_tokens: 3,
    details: true,
    return_full_text: false,
    watermark: false,
    do_sample: false,
    truncate: 50,
    top_n_tokens: 1,
    repetition_penalty: 1,
    stop: ["zzz"],
  };
  assert.equal((await client.textGeneration({ inputs: text, parameters })).generated_text, "eddi");
});

test("textGenerationStream yields TGI's tokens, and the whole at the end", async () => {
  let joined = "";
  let whole: string | null = null;
  let generated: number | undefined;
  for await (const output of client.textGenerationStream({ inputs: text, parameters: { details: true } })) {
    joined += output.token.text;
    whole = output.generated_text ?? whole;
    generated = output.details?.generated_tokens ?? generated;
  }
  assert.deepEqual([joined, whole], [answer, answer]);
  const { usage } = (await (
    await fetch(`${server.url}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ prompt: text }),
    })
  ).json()) as { usage: { completion_tokens: number } };
  assert.equal(generated, usage.completion_tokens);
});

test("stop cuts exactly and a seed repeats", async () => {
  let joined = "";
  for await (const { token } of client.textGenerationStream({ inputs: text, parameters: { stop: ["di"] } })) {
    joined += token.text;
  }
  assert.equal(joined, "ed");
  const drawn = async (seed: number) => {
    const parameters = { temperature: 3, seed, max_new_tokens: 20 };
    return (await client.textGeneration({ inputs: text, parameters })).generated_text;
  };
  assert.equal(await drawn(5), await drawn(5));
  assert.notEqual(await drawn(5), await drawn(6));
});

test("chatCompletion and chatCompletionStream", async () => {
  const messages = [{ role: "user" as const, content: text }];
  const completion = await client.chatCompletion({ messages, max_tokens: 24 });
  assert.equal(completion.choices[0]?.message.content, answer);
  let joined = "";
  for await (const chunk of client.chatCompletionStream({ messages })) joined += chunk.choices[0]?.delta.content ?? "";
  assert.equal(joined, answer);
});

test("errors carry status, request id and OpenAI's object; a stream's error its words", async () => {
  const wrong = client.textGeneration({ inputs: text, parameters: { top_k: -1 } });
  await assert.rejects(
    wrong,
    ({ httpResponse }: { httpResponse: { status: number; requestId: string; body: unknown } }) => {
      assert.equal(httpResponse.status, 422);
      assert.match(httpResponse.requestId, /^[\da-f-]{36}$/u);
      assert.equal((httpResponse.body as { error: { param: string } }).error.param, "top_k");
      return true;
    },
  );
  const pieces: string[] = [];
  await assert.rejects(async () => {
    for await (const output of steered.textGenerationStream({ inputs: "one !fail" })) pieces.push(output.token.text);
  }, /the model failed on this request/u);
  assert.deepEqual(pieces, ["ONE"]);
});

test("aborting a stream frees the row", async () => {
  await scripted.untilIdle();
  const before = await scripted.cancelled();
  const leaving = new AbortController();
  const stream = steered.textGenerationStream({ inputs: "one !wait" }, { signal: leaving.signal });
  await stream.next();
  leaving.abort();
  await until(async () => (await scripted.cancelled()) > before, "the request's end");
  await scripted.untilIdle();
});
