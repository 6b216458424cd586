// POST /generate as JSON: the answer's shape, arrays, parameters that imply others, and errors with their field.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ScriptedInference, modelInfo, testServer, type TestServer } from "../support/servers/scripted.js";

let server: TestServer;
before(async () => {
  server = await testServer();
});
after(() => server.close());

async function post(payload: unknown, url = "/generate", headers: Record<string, string> = {}) {
  const body = typeof payload === "string" ? payload : JSON.stringify(payload);
  const response = await server.app.inject({
    method: "POST",
    url,
    payload: body,
    headers: { "content-type": "application/json", ...headers },
  });
  return {
    status: response.statusCode,
    headers: response.headers,
    body: JSON.parse(response.body),
  };
}

describe("the answer", () => {
  test("to one text is an object with TGI's generated_text and our outputs, usage and timings", async () => {
    const { status, headers, body } = await post({ inputs: "hello world" });
    assert.equal(status, 200);
    assert.equal(body["generated_text"], "HELLO WORLD");
    assert.deepEqual(body["outputs"], [
      { text: "HELLO WORLD", ids: [3, 4, 1], score: null, finish_reason: "eos_token" },
    ]);
    assert.deepEqual(body["usage"], { source_tokens: 2, generated_tokens: 3 });
    assert.deepEqual(Object.keys(body["timings"]), ["queue_ms", "encode_ms", "decode_ms", "total_ms"]);
    assert.equal(body["model"], "echo");
    assert.equal(body["details"], undefined);
    assert.equal(headers["x-generation-id"], body["id"]);
  });

  test("to several texts is an array in their order, even of one", async () => {
    const { body } = await post({ inputs: ["a !ms=15", "b", "c"] });
    assert.deepEqual(
      (body as unknown as { generated_text: string }[]).map((answer) => answer.generated_text),
      ["A", "B", "C"],
    );
    assert.equal((await post({ inputs: ["a"] })).body["length"], 1);
  });

  test("to thirty-two texts comes without a warning of the runtime about listeners", async () => {
    const warnings: Error[] = [];
    const note = (warning: Error) => warnings.push(warning);
    process.on("warning", note);
    const { status } = await post({ inputs: Array.from({ length: 32 }, () => "a !ms=5") });
    await new Promise((resolve) => setImmediate(resolve));
    process.off("warning", note);
    assert.equal(status, 200);
    assert.deepEqual(warnings, []);
  });

  test("has TGI's details when asked", async () => {
    const { body } = await post({
      inputs: "hi",
      parameters: { details: true, decoder_input_details: true, top_n_tokens: 1, attention: true },
    });
    assert.deepEqual(body["details"], {
      finish_reason: "eos_token",
      generated_tokens: 2,
      seed: null,
      prefill: [{ id: 1, text: "</s>", logprob: null }],
      tokens: [
        { id: 3, text: "HI", logprob: -0.5, special: false },
        { id: 1, text: "", logprob: -0.5, special: true },
      ],
      top_tokens: [
        [{ id: 9, text: "nine", logprob: -0.1, special: false }],
        [{ id: 9, text: "nine", logprob: -0.1, special: false }],
      ],
      attention: [[1], [1]],
    });
  });

  test("has the log-probability that was drawn from beside the model's own", async () => {
    const { body } = await post({ inputs: "hi", parameters: { details: true, do_sample: true } });
    assert.deepEqual(body["details"].tokens[0], {
      id: 3,
      text: "HI",
      logprob: -0.5,
      sampled_logprob: -0.25,
      special: false,
    });
  });

  test("has details for whatever is only there: log-probabilities, alternatives, attention", async () => {
    for (const parameters of [{ logprobs: true }, { top_n_tokens: 2 }, { attention: true }]) {
      assert.ok((await post({ inputs: "hi", parameters })).body["details"], JSON.stringify(parameters));
    }
  });

  test("puts the best of best_of first and the others into best_of_sequences", async () => {
    const { body } = await post({ inputs: "hi", parameters: { best_of: 3, do_sample: true, details: true } });
    assert.deepEqual(
      body["outputs"].map((output: { score: number }) => output.score),
      [-0.1, -0.5, -2.5],
    );
    assert.equal(body["details"].best_of_sequences.length, 2);
    assert.equal(body["details"].seed, 7);
    assert.equal(server.inference.requests.at(-1)!.parameters.num_return_sequences, 3);
  });

  test("begins with the input when return_full_text is set, as TGI's does", async () => {
    const { body } = await post({ inputs: "hi", parameters: { return_full_text: true } });
    assert.equal(body["generated_text"], "hiHI");
    assert.equal(body["outputs"][0].text, "HI");
  });
});

describe("parameters", () => {
  const sent = async (parameters: object) => {
    const { status, body } = await post({ inputs: "hi", parameters });
    assert.equal(status, 200, JSON.stringify(body));
    return server.inference.requests.at(-1)!.parameters;
  };

  test("null means not given, everywhere", async () => {
    assert.deepEqual(
      await sent({ temperature: null, num_beams: null, watermark: null, stop: null, sequence_bias: null }),
      {},
    );
    assert.equal((await post({ inputs: "hi", model: null, parameters: null, stream: null })).status, 200);
  });

  test("a sampling option turns sampling on, as in TGI", async () => {
    assert.deepEqual(await sent({ temperature: 0.7 }), { temperature: 0.7, do_sample: true });
  });

  test("off values of what is not supported are accepted", async () => {
    await sent({ watermark: false, num_beam_groups: 1, diversity_penalty: 0, frequency_penalty: 0, use_cache: true });
  });

  const refusals: [object, string, RegExp][] = [
    [{ top_k: -3 }, "parameters.top_k", /^parameters\.top_k: must be >= 0 \(got -3\)$/u],
    [{ top_k: 1.5 }, "parameters.top_k", /must be a whole number \(got 1\.5\)/u],
    [{ top_k: "5" }, "parameters.top_k", /must be a whole number \(got a string\)/u],
    [{ temperature: 0 }, "parameters.temperature", /must be > 0 \(got 0\); for greedy decoding leave it out/u],
    [{ typical_p: 0 }, "parameters.typical_p", /> 0/u],
    [{ epsilon_cutoff: 1 }, "parameters.epsilon_cutoff", /< 1/u],
    [{ num_beams: 1e9 }, "parameters.num_beams", /<= 64/u],
    [{ early_stopping: "always" }, "parameters.early_stopping", /must be one of true, false, "never"/u],
    [{ topk: 5 }, "parameters.topk", /unknown field \(did you mean top_k\?\)/u],
    [{ max_tokens: 5 }, "parameters.max_tokens", /did you mean max_new_tokens\?/u],
    [{ stop: ["a", ""] }, "parameters.stop[1]", /must not be empty/u],
    [{ stop: Array.from({ length: 17 }, () => "x") }, "parameters.stop", /at most 16 items/u],
    [{ stop: "\uD800" }, "parameters.stop", /half a surrogate pair/u],
    [{ bad_words_ids: [[1], []] }, "parameters.bad_words_ids[1]", /at least 1 item/u],
    [{ bad_words_ids: [[1], [-1]] }, "parameters.bad_words_ids[1][0]", />= 0/u],
    [{ sequence_bias: [[5, [1]]] }, "parameters.sequence_bias[0]", /pair/u],
    [{ decoder_input_ids: [[1], [2]] }, "parameters.decoder_input_ids", /one row/u],
    [{ exponential_decay_length_penalty: [1.5, 2] }, "parameters.exponential_decay_length_penalty", /whole number/u],
    [{ watermark: true }, "parameters.watermark", /watermarks are not supported/u],
    [{ grammar: { type: "json" } }, "parameters.grammar", /grammars are not supported/u],
    [{ adapter_id: "x" }, "parameters.adapter_id", /adapters are not supported/u],
    [{ num_beam_groups: 2 }, "parameters.num_beam_groups", /diverse beam search is not supported/u],
    [{ penalty_alpha: 0.6 }, "parameters.penalty_alpha", /contrastive/u],
    [{ assistant_model: "x" }, "parameters.assistant_model", /assisted/u],
    [{ num_beams: 4, do_sample: true }, "parameters.num_beams", /not supported/u],
    [{ num_beams: 4, temperature: 0.5 }, "parameters.num_beams", /not supported/u],
    [{ do_sample: false, top_p: 0.9 }, "parameters.top_p", /do_sample is false/u],
    [{ num_beams: 2, num_return_sequences: 3 }, "parameters.num_return_sequences", /must be <= num_beams \(2\)/u],
    [{ best_of: 2 }, "parameters.best_of", /needs sampling/u],
    [{ best_of: 2, do_sample: true, num_return_sequences: 2 }, "parameters.best_of", /not together/u],
    [{ min_new_tokens: 9, max_new_tokens: 3 }, "parameters.min_new_tokens", /<= max_new_tokens \(3\)/u],
    [{ min_length: 9, max_length: 3 }, "parameters.min_length", /<= max_length \(3\)/u],
    [{ on_disconnect: "ignore" }, "parameters.on_disconnect", /"cancel", "continue"/u],
  ];
  for (const [parameters, field, message] of refusals) {
    test(`${JSON.stringify(parameters).slice(0, 80)} is a 422 that names ${field}`, async () => {
      const { status, body } = await post({ inputs: "hi", parameters });
      assert.equal(status, 422);
      assert.equal(body["error_type"], "validation");
      assert.equal(body["field"], field);
      assert.match(body["error"], message);
    });
  }
});

describe("bad requests", () => {
  const refusals: [string, unknown, number, string | undefined, RegExp][] = [
    ["not JSON", "{inputs: hi}", 400, undefined, /not valid JSON/u],
    ["an empty body", "", 400, undefined, /must not be empty/u],
    ["a poisoned prototype", '{"inputs":"hi","__proto__":{"x":1}}', 400, undefined, /forbidden key/u],
    ["a poisoned constructor", '{"inputs":"hi","constructor":{"prototype":{"x":1}}}', 400, undefined, /forbidden key/u],
    ["an array", [], 422, "body", /must be an object \(got an array\)/u],
    ["null", null, 422, "body", /must be an object/u],
    ["no inputs", {}, 422, "inputs", /is required/u],
    ["inputs of a wrong type", { inputs: 5 }, 422, "inputs", /must be a string or an array \(got 5\)/u],
    ["an empty text", { inputs: "" }, 422, "inputs", /must not be empty/u],
    ["no texts", { inputs: [] }, 422, "inputs", /at least 1 item/u],
    ["one text of a wrong type", { inputs: ["a", 5] }, 422, "inputs[1]", /must be a string/u],
    ["one empty text", { inputs: ["a", ""] }, 422, "inputs[1]", /must not be empty/u],
    [
      "too many texts",
      { inputs: Array.from({ length: 33 }, () => "a") },
      422,
      "inputs",
      /at most 32 texts in one request \(got 33\)/u,
    ],
    ["a lone surrogate", '{"inputs":"a\\ud83d"}', 422, "inputs", /half a surrogate pair/u],
    ["a lone surrogate in a list", '{"inputs":["ok","\\udc00"]}', 422, "inputs[1]", /half a surrogate pair/u],
    ["a text too long for the model", { inputs: "a ".repeat(200) }, 422, "inputs", /at most 100/u],
    ["one text too long", { inputs: ["a", "a ".repeat(200)] }, 422, "inputs[1]", /^inputs\[1\]: /u],
    ["an unknown field", { input: "hi" }, 422, "inputs", /is required/u],
    [
      "an unknown field besides",
      { inputs: "hi", paramters: {} },
      422,
      "paramters",
      /unknown field \(did you mean parameters\?\)/u,
    ],
    ["an unknown field near none", { inputs: "hi", zzzzzzzzz: 1 }, 422, "zzzzzzzzz", /unknown field$/u],
    ["parameters of a wrong type", { inputs: "hi", parameters: [] }, 422, "parameters", /must be an object/u],
    ["stream of a wrong type", { inputs: "hi", stream: "yes" }, 422, "stream", /must be true or false/u],
    ["an unknown model", { inputs: "hi", model: "nope" }, 404, "model", /no model/u],
    ["deep nesting", `{"inputs":${"[".repeat(50_000)}${"]".repeat(50_000)}}`, 422, "inputs[0]", /must be a string/u],
    [
      "deep nesting in an unknown field",
      `{"inputs":"hi","x":${"[".repeat(50_000)}${"]".repeat(50_000)}}`,
      422,
      "x",
      /unknown field/u,
    ],
    ["too large a body", { inputs: "a".repeat(300_000) }, 413, undefined, /too large/u],
  ];
  for (const [title, payload, status, field, message] of refusals) {
    test(`${title}: ${status}`, async () => {
      const answer = await post(payload);
      assert.equal(answer.status, status, JSON.stringify(answer.body));
      assert.equal(answer.body["field"], field);
      assert.match(answer.body["error"], message);
    });
  }

  test("a wrong content type is a 415", async () => {
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "text/json"]) {
      const { status, body } = await post({ inputs: "hi" }, "/generate", { "content-type": type });
      assert.equal(status, 415, type);
      assert.match(body["error"], /must be application\/json/u);
    }
  });

  test("an error of the model is a 424, a surprise a 500 that tells nothing", async () => {
    const failed = await post({ inputs: "a !fail" });
    assert.deepEqual([failed.status, failed.body["error_type"]], [424, "generation"]);
    const crashed = await post({ inputs: "a !crash" });
    assert.deepEqual([crashed.status, crashed.body], [500, { error: "internal error", error_type: "internal" }]);
    assert.ok(
      server.lines.some((line) => JSON.stringify(line).includes("secret detail")),
      "but the log does",
    );
  });

  test("one failing text fails the request and stops the others", async () => {
    const { status } = await post({ inputs: ["a !wait", "b !fail"] });
    assert.equal(status, 424);
    assert.ok(server.inference.signals.at(-2)!.aborted);
    assert.deepEqual(await server.queue.depth(), { queuedRequests: 0, queuedTokens: 0, running: 0 });
  });
});

test("a model that still loads is a 503 with Retry-After and Connection: close", async () => {
  const loading = await testServer({
    inference: new ScriptedInference([modelInfo({ state: "loading" })], new Promise(() => undefined)),
  });
  const response = await loading.app.inject({ method: "POST", url: "/generate", payload: { inputs: "hi" } });
  assert.equal(response.statusCode, 503);
  assert.equal(response.headers["retry-after"], "1");
  assert.equal(response.headers["connection"], "close");
  await loading.close();
});

test("/generate_stream with stream: false is a 422", async () => {
  const { status, body } = await post({ inputs: "hi", stream: false }, "/generate_stream");
  assert.deepEqual([status, body["field"]], [422, "stream"]);
});

test("the layers to the right are told whether anybody looks at single tokens", async () => {
  const ask = async (url: string, payload: object) => {
    await server.app.inject({ method: "POST", url, payload });
    return server.inference.requests.at(-1)?.readsWhole;
  };
  assert.equal(await ask("/generate", { inputs: "hi" }), true);
  assert.equal(await ask("/generate", { inputs: "hi", stream: true }), false);
  assert.equal(await ask("/v1/completions", { prompt: "hi", model: "echo" }), true);
  assert.equal(await ask("/v1/completions", { prompt: "hi", model: "echo", stream: true }), false);
});
