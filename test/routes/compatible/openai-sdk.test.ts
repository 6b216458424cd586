// The official openai package against the real server: completions, chat, models, streams, usage, errors, retries, leaving.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import OpenAI, {
  APIError,
  AuthenticationError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
  UnprocessableEntityError,
} from "openai";
import { readStream } from "../../support/clients/openai.js";
import { testServer, type TestServer } from "../../support/servers/scripted.js";
import { zooServer, type ZooServer } from "../../support/servers/zoo-server.js";
import { until } from "../../support/until.js";

const text = "considered";
const answer = "eddis";
const other = "mode) :";

let server: ZooServer;
let scripted: TestServer;
let client: OpenAI;
let steered: OpenAI;
before(async () => {
  server = await zooServer({ models: ["t5", "nllb"] });
  scripted = await testServer();
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: "none" });
  steered = new OpenAI({ baseURL: `${await scripted.listen()}/v1`, apiKey: "none", maxRetries: 0 });
});
after(async () => {
  await server.close();
  await scripted.close();
});

describe("completions", () => {
  test("answer a prompt, with usage that adds up and the request's id", async () => {
    const completion = await client.completions.create({ model: "t5", prompt: text });
    assert.equal(completion.choices[0]?.text, answer);
    assert.equal(completion.choices[0].finish_reason, "stop");
    assert.equal(completion.model, "t5");
    assert.match(completion.id, /^cmpl-/u);
    assert.match(completion._request_id ?? "", /^[\da-f-]{36}$/u);
    const { usage } = completion;
    assert.ok(usage !== undefined && usage.prompt_tokens > 0 && usage.completion_tokens > 0);
    assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
  });

  test("stream pieces that join to the whole", async () => {
    const body = { model: "t5", prompt: text, stream: true, stream_options: { include_usage: true } } as const;
    const { texts, reasons, usage, ids } = await readStream(await client.completions.create(body));
    assert.deepEqual([texts, reasons], [[answer], ["stop"]]);
    assert.equal(ids.size, 1);
    const whole = await client.completions.create({ model: "t5", prompt: text });
    assert.deepEqual(usage, whole.usage);
  });

  test("without include_usage no chunk has usage", async () => {
    const { usage } = await readStream(await client.completions.create({ model: "t5", prompt: text, stream: true }));
    assert.equal(usage, null);
  });

  test("several prompts are one batch, in order, streamed too", async () => {
    const solo = await client.completions.create({ model: "t5", prompt: other });
    const both = await client.completions.create({ model: "t5", prompt: [text, other] });
    assert.deepEqual(
      both.choices.map((choice) => [choice.index, choice.text]),
      [
        [0, answer],
        [1, solo.choices[0]?.text],
      ],
    );
    const stream = await client.completions.create({ model: "t5", prompt: [text, other], stream: true });
    assert.deepEqual((await readStream(stream)).texts, [answer, solo.choices[0]?.text]);
  });

  test("n gives that number of choices, by sampling or by beams, the same streamed", async () => {
    const sampled = { model: "t5", prompt: [text, other], n: 2, temperature: 2, seed: 3, max_tokens: 12 };
    const beams = { model: "t5", prompt: text, n: 3, num_beams: 4 };
    for (const body of [sampled, beams]) {
      const whole = await client.completions.create({ ...body, stream: false });
      const streamed = await readStream(await client.completions.create({ ...body, stream: true }));
      assert.deepEqual(
        streamed.texts,
        whole.choices.map((choice) => choice.text),
      );
      assert.equal(new Set(streamed.texts).size > 1, true, "choices differ");
      assert.ok(streamed.reasons.every((reason) => reason === "stop" || reason === "length"));
    }
  });

  test("best_of draws more and gives the best", async () => {
    const body = { model: "t5", prompt: text, temperature: 2, seed: 3, max_tokens: 12 };
    const all = await client.completions.create({ ...body, n: 4, logprobs: 0 });
    const best = await client.completions.create({ ...body, n: 1, best_of: 4 });
    assert.equal(best.choices.length, 1);
    assert.ok(all.choices.some((choice) => choice.text === best.choices[0]?.text));
    assert.equal(best.usage?.completion_tokens, all.usage?.completion_tokens, "all that was drawn is counted");
  });

  test("stop cuts exactly, max_tokens ends by length, a seed repeats, temperature 0 is greedy", async () => {
    const stopped = await client.completions.create({ model: "t5", prompt: text, stop: ["di", "zzz"] });
    assert.deepEqual([stopped.choices[0]?.text, stopped.choices[0]?.finish_reason], ["ed", "stop"]);
    const streamed = await client.completions.create({ model: "t5", prompt: text, stop: "di", stream: true });
    assert.deepEqual((await readStream(streamed)).texts, ["ed"]);
    const short = await client.completions.create({ model: "t5", prompt: text, max_tokens: 3 });
    assert.deepEqual([short.choices[0]?.text, short.choices[0]?.finish_reason], ["eddi", "length"]);
    assert.equal(short.usage?.completion_tokens, 3);
    const drawn = async (seed: number) => {
      const body = { model: "t5", prompt: text, temperature: 3, seed, max_tokens: 20 };
      return (await client.completions.create(body)).choices[0]?.text;
    };
    assert.equal(await drawn(5), await drawn(5));
    assert.notEqual(await drawn(5), await drawn(6));
    const greedy = await client.completions.create({ model: "t5", prompt: text, temperature: 0 });
    assert.equal(greedy.choices[0]?.text, answer);
  });

  test("logprobs have tokens that join to the text, their offsets and alternatives; the same streamed", async () => {
    const whole = await client.completions.create({ model: "t5", prompt: text, logprobs: 2 });
    const { tokens, token_logprobs, top_logprobs, text_offset } = whole.choices[0]?.logprobs ?? {};
    assert.equal(tokens?.join(""), answer);
    assert.equal(text_offset?.[1], tokens[0]?.length);
    assert.ok(token_logprobs?.every((value) => value <= 0));
    assert.ok(top_logprobs?.every((top) => Object.keys(top).length === 2));
    const streamed: string[] = [];
    const offsets: number[] = [];
    for await (const chunk of await client.completions.create({
      model: "t5",
      prompt: text,
      logprobs: 2,
      stream: true,
    })) {
      streamed.push(...(chunk.choices[0]?.logprobs?.tokens ?? []));
      offsets.push(...(chunk.choices[0]?.logprobs?.text_offset ?? []));
    }
    assert.deepEqual([streamed, offsets], [tokens, text_offset]);
  });

  test("logit_bias forbids a token", async () => {
    const { tokens } = await server.parts.inference
      .tokenize("t5", "ed")
      .then((found) => ({ tokens: found.filter(({ special }) => !special) }));
    assert.ok(tokens.length > 0);
    const first = await client.completions.create({ model: "t5", prompt: text, logprobs: 0 });
    const ids = (await (
      await fetch(`${server.url}/generate`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: "t5", inputs: text }),
      })
    ).json()) as { outputs: { ids: number[] }[] };
    const banned = ids.outputs[0]?.ids[0] ?? 0;
    const biased = await client.completions.create({
      model: "t5",
      prompt: text,
      logit_bias: { [banned]: -100 },
      logprobs: 0,
    });
    assert.notEqual(biased.choices[0]?.logprobs?.tokens?.[0], first.choices[0]?.logprobs?.tokens?.[0]);
  });
});

describe("chat", () => {
  const messages = [
    { role: "user", content: "earlier" },
    { role: "assistant", content: "turn" },
    {
      role: "user",
      content: [
        { type: "text", text: "consi" },
        { type: "text", text: "dered" },
      ],
    },
  ] satisfies OpenAI.ChatCompletionMessageParam[];

  test("answers the last user message", async () => {
    const completion = await client.chat.completions.create({ model: "t5", messages });
    const [choice] = completion.choices;
    assert.deepEqual(choice?.message, { role: "assistant", content: answer, refusal: null });
    assert.equal(choice.finish_reason, "stop");
    assert.equal(completion.usage?.total_tokens, completion.usage!.prompt_tokens + completion.usage!.completion_tokens);
  });

  test("streams: the role first, then pieces that join to the whole, then usage", async () => {
    const body = { model: "t5", messages, stream: true, stream_options: { include_usage: true } } as const;
    const stream = await client.chat.completions.create(body);
    const [left, right] = stream.tee();
    let first: object | undefined;
    for await (const chunk of left) first ??= chunk.choices[0]?.delta;
    assert.deepEqual(first, { role: "assistant", content: "" });
    const { texts, reasons, usage } = await readStream(right);
    assert.deepEqual([texts, reasons], [[answer], ["stop"]]);
    assert.ok(usage !== null && "total_tokens" in usage);
  });

  test("the package's own stream helper puts the pieces together", async () => {
    const stream = client.chat.completions.stream({ model: "t5", messages });
    assert.equal(await stream.finalContent(), answer);
  });

  test("n, logprobs and max_completion_tokens", async () => {
    const body = {
      model: "t5",
      messages,
      n: 2,
      temperature: 2,
      seed: 1,
      max_completion_tokens: 6,
      logprobs: true,
      top_logprobs: 2,
    };
    const { choices } = await client.chat.completions.create(body);
    assert.equal(choices.length, 2);
    for (const { message, logprobs } of choices) {
      assert.equal(logprobs?.content?.map(({ token }) => token).join(""), message.content);
      assert.ok(logprobs?.content?.every(({ top_logprobs }) => top_logprobs.length === 2));
    }
    const streamed = await readStream(await client.chat.completions.create({ ...body, stream: true }));
    assert.deepEqual(
      streamed.texts,
      choices.map(({ message }) => message.content),
    );
  });
});

describe("models", () => {
  test("are listed and looked up", async () => {
    const names: string[] = [];
    for await (const model of client.models.list()) names.push(model.id);
    assert.deepEqual(names, ["t5", "nllb"]);
    assert.equal((await client.models.retrieve("nllb")).id, "nllb");
    await assert.rejects(client.models.retrieve("nlbl"), (error: unknown) => {
      assert.ok(error instanceof NotFoundError);
      assert.match(error.message, /did you mean nllb/u);
      return true;
    });
  });

  test("are chosen by name", async () => {
    const completion = await client.completions.create({ model: "nllb", prompt: "and", max_tokens: 4 });
    assert.equal(completion.model, "nllb");
    await assert.rejects(client.completions.create({ model: "gpt-4", prompt: "and" }), NotFoundError);
  });
});

describe("errors", () => {
  const cases: [string, object, string, RegExp][] = [
    ["a bad temperature", { temperature: -1 }, "temperature", /must be >= 0/u],
    ["echo", { echo: true }, "echo", /not part of the output/u],
    ["suffix", { suffix: "x" }, "suffix", /not supported/u],
    ["a penalty", { presence_penalty: 1 }, "presence_penalty", /use repetition_penalty/u],
    ["too many tokens", { max_tokens: 100_000 }, "max_tokens", /must be <=/u],
    ["n without sampling", { n: 2 }, "n", /num_beams/u],
    ["best_of below n", { n: 2, best_of: 1, temperature: 1 }, "best_of", /must be >= n/u],
    ["best_of with a stream", { best_of: 2, temperature: 1, stream: true }, "best_of", /stream/u],
    ["an unknown field", { max_token: 1 }, "max_token", /did you mean max_tokens/u],
    ["two lengths", { max_tokens: 1, max_new_tokens: 1 }, "max_tokens", /only one/u],
    ["token ids", { prompt: [1, 2] }, "prompt[0]", /must be a string/u],
    ["an empty prompt", { prompt: ["a", ""] }, "prompt[1]", /must not be empty/u],
    [
      "stream_options without a stream",
      { stream_options: { include_usage: true } },
      "stream_options",
      /only with stream/u,
    ],
  ];
  for (const [title, fields, param, message] of cases) {
    test(`${title}: UnprocessableEntityError with param ${param}`, async () => {
      const body = { model: "t5", prompt: "hi", ...fields } as OpenAI.CompletionCreateParamsNonStreaming;
      await assert.rejects(client.completions.create(body, { maxRetries: 0 }), (error: unknown) => {
        assert.ok(error instanceof UnprocessableEntityError, String(error));
        assert.deepEqual([error.param, error.type, error.code], [param, "invalid_request_error", "validation"]);
        assert.match(error.message, message);
        return true;
      });
    });
  }

  const chats: [string, object, string, RegExp][] = [
    [
      "a system message",
      {
        messages: [
          { role: "system", content: "x" },
          { role: "user", content: "hi" },
        ],
      },
      "messages[0].role",
      /seqserve|last user message/u,
    ],
    [
      "no user message last",
      { messages: [{ role: "assistant", content: "x" }] },
      "messages[0].role",
      /must be the user's/u,
    ],
    [
      "an image",
      { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }] },
      "messages[0].content[0]",
      /type text/u,
    ],
    ["tools", { tools: [{ type: "function", function: { name: "f" } }] }, "tools", /not supported/u],
    ["JSON", { response_format: { type: "json_object" } }, "response_format", /grammars/u],
    ["top_logprobs alone", { top_logprobs: 2 }, "top_logprobs", /needs logprobs/u],
  ];
  for (const [title, fields, param, message] of chats) {
    test(`chat: ${title}: param ${param}`, async () => {
      const body = {
        model: "t5",
        messages: [{ role: "user", content: "hi" }],
        ...fields,
      } as OpenAI.ChatCompletionCreateParamsNonStreaming;
      await assert.rejects(client.chat.completions.create(body, { maxRetries: 0 }), (error: unknown) => {
        assert.ok(error instanceof UnprocessableEntityError, String(error));
        assert.equal(error.param, param);
        assert.match(error.message, message);
        return true;
      });
    });
  }

  test("before and after the first token", async () => {
    await assert.rejects(steered.completions.create({ model: "echo", prompt: "one !fail" }), (error: unknown) => {
      assert.ok(error instanceof APIError);
      assert.deepEqual([error.status, error.code], [424, "generation"]);
      return true;
    });
    await assert.rejects(steered.completions.create({ model: "echo", prompt: "!crash" }), InternalServerError);
    const pieces: string[] = [];
    await assert.rejects(
      async () => {
        for await (const chunk of await steered.completions.create({
          model: "echo",
          prompt: "one !fail",
          stream: true,
        })) {
          pieces.push(chunk.choices[0]?.text ?? "");
        }
      },
      (error: unknown) => error instanceof APIError && /the model failed/u.test(error.message),
    );
    assert.deepEqual(pieces, ["ONE"]);
  });

  test("a missing key is an AuthenticationError", async () => {
    const locked = await testServer({ config: { apiKeys: ["secret"] } });
    const baseURL = `${await locked.listen()}/v1`;
    const wrong = new OpenAI({ baseURL, apiKey: "wrong" });
    await assert.rejects(wrong.completions.create({ model: "echo", prompt: "hi" }), AuthenticationError);
    const right = new OpenAI({ baseURL, apiKey: "secret" });
    assert.equal((await right.completions.create({ model: "echo", prompt: "hi" })).choices[0]?.text, "HI");
    await locked.close();
  });

  test("overload is a RateLimitError, and a client that retries comes through", async () => {
    const small = await testServer({ config: { maxQueuedRequests: 1 } });
    const baseURL = `${await small.listen()}/v1`;
    const patient = new OpenAI({ baseURL, apiKey: "none", maxRetries: 2 });
    const leaving = new AbortController();
    const waiting = patient.completions.create({ model: "echo", prompt: "!wait" }, { signal: leaving.signal });
    waiting.catch(() => undefined);
    await until(async () => (await small.queue.depth()).queuedRequests === 1, "one waits");
    const refused = patient.completions.create({ model: "echo", prompt: "hi" }, { maxRetries: 0 });
    await assert.rejects(refused, (error: unknown) => {
      assert.ok(error instanceof RateLimitError);
      assert.ok(Number(error.headers.get("retry-after-ms")) > 0);
      assert.equal(error.type, "rate_limit_error");
      return true;
    });
    const retried = patient.completions.create({ model: "echo", prompt: "hi" });
    leaving.abort();
    assert.equal((await retried).choices[0]?.text, "HI");
    await small.close();
  });

  test("unknown paths are OpenAI's object too", async () => {
    const embeddings = client.embeddings.create({ model: "t5", input: "hi" });
    await assert.rejects(embeddings, (error: unknown) => error instanceof NotFoundError && error.code === "not_found");
  });
});

test("leaving a stream frees the row", async () => {
  await scripted.untilIdle();
  const before = await scripted.cancelled();
  for await (const chunk of await steered.completions.create({ model: "echo", prompt: "one !wait", stream: true })) {
    assert.ok(chunk.choices[0]);
    break;
  }
  await until(async () => (await scripted.cancelled()) > before, "the request's end");
  await scripted.untilIdle();
});
