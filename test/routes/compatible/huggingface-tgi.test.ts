// Hugging Face's JavaScript client of the TGI days (4.13.16), and the tasks that today's still posts to the bare URL: `POST /` on the real server.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { InferenceClient as CurrentClient } from "@huggingface/inference";
import { InferenceClient, type InferenceClientEndpoint } from "huggingface-inference-4.13.16";
import { testServer, type TestServer } from "../../support/servers/scripted.js";
import { zooServer, type ZooServer } from "../../support/servers/zoo-server.js";
import { until } from "../../support/until.js";

const text = "considered";
const answer = "eddis";

let server: ZooServer;
let scripted: TestServer;
let scriptedUrl: string;
let old: InferenceClientEndpoint;
before(async () => {
  server = await zooServer({ models: ["t5", "nllb"] });
  scripted = await testServer({ config: { maxQueuedRequests: 1 } });
  scriptedUrl = await scripted.listen();
  old = new InferenceClient("none").endpoint(server.url);
});
after(async () => {
  await server.close();
  await scripted.close();
});

test("4.13.16: textGeneration reads the array", async () => {
  const output = await old.textGeneration({ inputs: text, parameters: { max_new_tokens: 24, details: true } });
  assert.equal(output.generated_text, answer);
  assert.equal(output.details?.finish_reason, "eos_token");
  assert.equal(output.details?.tokens.map((token) => token.text).join(""), answer);
});

test("4.13.16: textGenerationStream's pieces join to the whole", async () => {
  let joined = "";
  let whole: string | null = null;
  for await (const output of old.textGenerationStream({ inputs: text, parameters: { details: true } })) {
    joined += output.token.text;
    whole = output.generated_text ?? whole;
  }
  assert.equal(joined, answer);
  assert.equal(whole, answer);
});

test("4.13.16: stop cuts exactly, a seed repeats", async () => {
  const stopped = await old.textGeneration({ inputs: text, parameters: { stop: ["di"] } });
  assert.equal(stopped.generated_text, "ed");
  const drawn = () => {
    return old.textGeneration({
      inputs: text,
      parameters: { do_sample: true, temperature: 3, seed: 5, max_new_tokens: 20 },
    });
  };
  assert.equal((await drawn()).generated_text, (await drawn()).generated_text);
  const other = await old.textGeneration({ inputs: text, parameters: { temperature: 3, seed: 6, max_new_tokens: 20 } });
  assert.notEqual(other.generated_text, (await drawn()).generated_text);
});

test("4.13.16: errors carry the server's words, status and request id", async () => {
  const tooLong = old.textGeneration({ inputs: text, parameters: { top_k: -1 } });
  await assert.rejects(tooLong, (error: Error & { httpResponse: { status: number; requestId: string } }) => {
    assert.match(error.message, /parameters\.top_k: must be >= 0/u);
    assert.equal(error.httpResponse.status, 422);
    assert.match(error.httpResponse.requestId, /^[\da-f-]{36}$/u);
    return true;
  });
});

test("4.13.16: an error after the first token ends the stream with the server's words", async () => {
  const client = new InferenceClient("none").endpoint(scriptedUrl);
  const pieces: string[] = [];
  await assert.rejects(async () => {
    for await (const output of client.textGenerationStream({ inputs: "one !fail" })) pieces.push(output.token.text);
  }, /the model failed on this request/u);
  assert.deepEqual(pieces, ["ONE"]);
});

test("4.13.16: overload is an error at once, not a wait", async () => {
  const client = new InferenceClient("none").endpoint(scriptedUrl);
  const texts = ["!wait", "!wait", "!wait"];
  const leaving = new AbortController();
  const requests = texts.map((inputs) =>
    client.textGeneration({ inputs }, { signal: leaving.signal, retry_on_error: false }),
  );
  const refused = await Promise.any(
    requests.map((request) =>
      request.then(
        () => assert.fail(),
        (error: Error) => error,
      ),
    ),
  );
  assert.match(refused.message, /queue is full|wait/iu);
  leaving.abort();
  await Promise.allSettled(requests);
});

test("leaving a stream frees the row", async () => {
  // This client releases its reader without cancelling the body: only an abort closes the connection.
  await scripted.untilIdle();
  const before = await scripted.cancelled();
  const leaving = new AbortController();
  const client = new InferenceClient("none").endpoint(scriptedUrl);
  const stream = client.textGenerationStream({ inputs: "one !wait" }, { signal: leaving.signal });
  await stream.next();
  leaving.abort();
  await until(async () => (await scripted.cancelled()) > before, "the request's end");
  await scripted.untilIdle();
});

test("current: translation and summarization post to the bare URL", async () => {
  const client = new CurrentClient("none").endpoint(server.url);
  assert.equal(((await client.translation({ inputs: text })) as { translation_text: string }).translation_text, answer);
  assert.equal((await client.summarization({ inputs: text })).summary_text, answer);
  const short = await client.summarization({
    inputs: text,
    parameters: { generate_parameters: { max_new_tokens: 3 }, truncation: "longest_first" },
  });
  assert.equal(short.summary_text, "eddi");
});
