// Vercel's AI SDK over @ai-sdk/openai-compatible, against the real server.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, streamText } from "ai";
import { testServer, type TestServer } from "../../support/servers/scripted.js";
import { zooServer, type ZooServer } from "../../support/servers/zoo-server.js";
import { until } from "../../support/until.js";

const text = "considered";
const answer = "eddis";

let server: ZooServer;
let scripted: TestServer;
let t5: ReturnType<ReturnType<typeof createOpenAICompatible>>;
let echo: ReturnType<ReturnType<typeof createOpenAICompatible>>;
before(async () => {
  server = await zooServer();
  scripted = await testServer({ config: { maxQueuedRequests: 1 } });
  t5 = createOpenAICompatible({ name: "seqserve", baseURL: `${server.url}/v1`, includeUsage: true })("t5");
  echo = createOpenAICompatible({ name: "seqserve", baseURL: `${await scripted.listen()}/v1` })("echo");
});
after(async () => {
  await server.close();
  await scripted.close();
});

test("generateText: text, finish reason, usage", async () => {
  const result = await generateText({ model: t5, prompt: text });
  assert.equal(result.text, answer);
  assert.equal(result.finishReason, "stop");
  const { inputTokens = 0, outputTokens = 0, totalTokens } = result.usage;
  assert.ok(inputTokens > 0 && outputTokens > 0);
  assert.equal(totalTokens, inputTokens + outputTokens);
});

test("streamText: pieces join to the whole, usage comes at the end", async () => {
  const result = streamText({ model: t5, prompt: text });
  let joined = "";
  for await (const piece of result.textStream) joined += piece;
  assert.equal(joined, answer);
  assert.equal(await result.finishReason, "stop");
  const whole = await generateText({ model: t5, prompt: text });
  assert.equal((await result.usage).totalTokens, whole.usage.totalTokens);
});

test("maxOutputTokens, stopSequences, seed and temperature are honoured", async () => {
  const short = await generateText({ model: t5, prompt: text, maxOutputTokens: 3 });
  assert.deepEqual([short.text, short.finishReason], ["eddi", "length"]);
  const stopped = await generateText({ model: t5, prompt: text, stopSequences: ["di"] });
  assert.deepEqual([stopped.text, stopped.finishReason], ["ed", "stop"]);
  const drawn = async (seed: number) => {
    return (await generateText({ model: t5, prompt: text, temperature: 3, seed, maxOutputTokens: 20 })).text;
  };
  assert.equal(await drawn(5), await drawn(5));
  assert.notEqual(await drawn(5), await drawn(6));
});

test("options of /generate pass through providerOptions", async () => {
  const result = await generateText({
    model: t5,
    prompt: text,
    providerOptions: { seqserve: { num_beams: 4, min_new_tokens: 8 } },
  });
  assert.ok((result.usage.outputTokens ?? 0) >= 8);
});

test("a history is accepted, instructions without a form for them are refused by name", async () => {
  const messages = [
    { role: "user" as const, content: "hello" },
    { role: "assistant" as const, content: "olleh" },
    { role: "user" as const, content: text },
  ];
  assert.equal((await generateText({ model: t5, messages })).text, answer);
  await assert.rejects(generateText({ model: t5, instructions: "be brief", prompt: text }), (error: unknown) => {
    assert.ok(APICallError.isInstance(error));
    assert.equal(error.statusCode, 422);
    assert.match(error.message, /messages\[0\]\.role/u);
    assert.equal(error.isRetryable, false);
    return true;
  });
});

test("overload is retryable, a failure in a stream is an error part", async () => {
  const leaving = new AbortController();
  const waiting = generateText({ model: echo, prompt: "!wait", abortSignal: leaving.signal });
  waiting.catch(() => undefined);
  await until(async () => (await scripted.queue.depth()).queuedRequests === 1, "one waits");
  await assert.rejects(generateText({ model: echo, prompt: "hi", maxRetries: 0 }), (error: unknown) => {
    assert.ok(APICallError.isInstance(error));
    assert.deepEqual([error.statusCode, error.isRetryable], [429, true]);
    return true;
  });
  leaving.abort();
  await Promise.allSettled([waiting]);
  const errors: unknown[] = [];
  const result = streamText({ model: echo, prompt: "one !fail", onError: ({ error }) => void errors.push(error) });
  let joined = "";
  for await (const piece of result.textStream) joined += piece;
  assert.equal(joined, "ONE");
  assert.match(JSON.stringify(errors), /the model failed/u);
});

test("aborting a stream frees the row", async () => {
  await scripted.untilIdle();
  const before = await scripted.cancelled();
  const leaving = new AbortController();
  for await (const piece of streamText({ model: echo, prompt: "one !wait", abortSignal: leaving.signal }).textStream) {
    assert.ok(piece);
    leaving.abort();
    break;
  }
  await until(async () => (await scripted.cancelled()) > before, "the request's end");
  await scripted.untilIdle();
});
