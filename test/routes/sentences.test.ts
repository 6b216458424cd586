// split: "sentences": how a text is cut, that its sentences are joined in order whatever the rows do, and that without it a long text stays a 422.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { AppError } from "../../src/errors.js";
import type { GenerationEvent } from "../../src/generation.js";
import { splitSentences, joinSentences } from "../../src/routes/generate/sentences.js";
import { testServer, wireEvents, type TestServer } from "../support/servers/scripted.js";
import { zooServer, type ZooServer } from "../support/servers/zoo-server.js";
import { until } from "../support/until.js";

describe("splitSentences", () => {
  const cases: [string, string[]][] = [
    ["One. Two!  Three?\n\nFour", ["One.", " Two!", "  Three?", "\n\nFour"]],
    ["  spaces around.  ", ["spaces around."]],
    [
      "Dr. Doe and J. R. Roe met at 3.30 p.m. on Monday. They left.",
      ["Dr. Doe and J. R. Roe met at 3.30 p.m. on Monday.", " They left."],
    ],
    ["“Really?” she asked. Yes.", ["“Really?”", " she asked.", " Yes."]],
    ["你好。再见！", ["你好。", "再见！"]],
    ["a\r\n\tb", ["a", "\r\n\tb"]],
    ["", []],
    [" \n ", []],
  ];
  for (const [text, expected] of cases) {
    test(JSON.stringify(text), () => {
      const found = splitSentences(text);
      assert.deepEqual(
        found.map((sentence) => sentence.before + sentence.text),
        expected,
      );
      assert.equal(found.map((sentence) => sentence.before + sentence.text).join(""), text.trim(), "nothing is lost");
      assert.ok(found.every((sentence) => sentence.text === sentence.text.trim()));
    });
  }
});

describe("on a real model", () => {
  const sentences = ["considered mode).", "Other words here!", "The third, a little longer?", "End"];
  const gaps = ["", "  ", "\n\n", " "];
  const text = sentences.map((sentence, i) => `${gaps[i]}${sentence}`).join("");

  let server: ZooServer;
  before(async () => {
    server = await zooServer({ maxInputTokens: 26 });
  });
  after(() => server.close());

  async function generate(inputs: string | string[], parameters: object = {}, stream = false) {
    const response = await fetch(`${server.url}/generate`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ inputs, parameters, stream }),
    });
    return { status: response.status, text: await response.text() };
  }

  interface Answer {
    readonly generated_text: string;
    readonly outputs: readonly { ids: number[]; score: number | null; finish_reason: string }[];
    readonly usage: { source_tokens: number; generated_tokens: number };
    readonly details?: { tokens: { text: string }[]; seed: number | null; input_length?: number };
  }
  const answered = async (...asked: Parameters<typeof generate>) => {
    const { status, text: body } = await generate(...asked);
    assert.equal(status, 200, body);
    return JSON.parse(body) as Answer;
  };

  test("the answer is what each sentence gives alone, with the white space between them", async () => {
    const alone = await Promise.all(sentences.map((sentence) => answered(sentence)));
    const whole = await answered(text, { split: "sentences" });
    assert.equal(whole.generated_text, alone.map((answer, i) => `${gaps[i]}${answer.generated_text}`).join(""));
    const sum = (count: (answer: Answer) => number) => alone.reduce((total, answer) => total + count(answer), 0);
    assert.deepEqual(whole.usage, {
      source_tokens: sum(({ usage }) => usage.source_tokens),
      generated_tokens: sum(({ usage }) => usage.generated_tokens),
    });
    assert.deepEqual(
      whole.outputs[0]?.ids,
      alone.flatMap((answer) => answer.outputs[0]?.ids ?? []),
    );
    assert.equal(whole.outputs[0]?.finish_reason, "eos_token");
  });

  test("a stream's pieces join to it, numbered without gaps; beams too", async () => {
    for (const parameters of [{ split: "sentences" }, { split: "sentences", num_beams: 4, details: true }]) {
      const whole = await answered(text, parameters);
      const events = wireEvents((await generate(text, parameters, true)).text);
      assert.deepEqual(
        events.map(({ id }) => id),
        events.map((_, i) => i + 1),
      );
      const joined = events.map(({ data }) => (data["token"] as { text: string }).text).join("");
      assert.equal(joined, whole.generated_text);
      assert.equal(events.at(-1)?.data["generated_text"], whole.generated_text);
    }
  });

  test("details join to the text, and the reported seed repeats it", async () => {
    const parameters = { split: "sentences", do_sample: true, temperature: 2, details: true, max_new_tokens: 8 };
    const drawn = await answered(text, parameters);
    assert.equal(drawn.details?.tokens.map((token) => token.text).join(""), drawn.generated_text);
    const again = await answered(text, { ...parameters, seed: drawn.details?.seed });
    assert.equal(again.generated_text, drawn.generated_text);
  });

  test("a text that fits is not cut; several inputs are split each", async () => {
    const short = "Ab. Cd."; // Two sentences, yet one row.
    assert.equal(
      (await answered(short, { split: "sentences" })).generated_text,
      (await answered(short)).generated_text,
    );
    const { text: body } = await generate([text, short], { split: "sentences" });
    const [long, whole] = JSON.parse(body) as Answer[];
    assert.equal(long?.generated_text, (await answered(text, { split: "sentences" })).generated_text);
    assert.equal(whole?.generated_text, (await answered(short)).generated_text);
  });

  test("without it a long text is a 422 that tells of split and truncate", async () => {
    const { status, text: body } = await generate(text);
    assert.equal(status, 422);
    assert.match(body, /parameters\.truncate cuts, parameters\.split/u);
  });

  test("a sentence that is too long itself is named", async () => {
    const { status, text: body } = await generate(`Short one. Long ${"long ".repeat(40)}`, { split: "sentences" });
    assert.equal(status, 422);
    assert.match(body, /inputs: sentence 2: \d+ tokens, at most 26 fit this model"/u);
    const single = await generate("long ".repeat(40), { split: "sentences" });
    assert.match(single.text, /"inputs: \d+ tokens/u);
  });

  for (const other of [
    { truncate: 3 },
    { stop: ["x"] },
    { num_return_sequences: 2, num_beams: 2 },
    { best_of: 2, do_sample: true },
    { decoder_input_ids: [0] },
    { attention: true },
    { decoder_input_details: true },
    { on_disconnect: "continue" },
  ]) {
    test(`not together with ${Object.keys(other)[0]}`, async () => {
      const { status, text: body } = await generate(text, { split: "sentences", ...other });
      assert.equal(status, 422);
      assert.equal((JSON.parse(body) as { field: string }).field, "parameters.split");
    });
  }

  test("leaving frees the rows of all sentences", async () => {
    const cancelled = () => server.metric("seqserve_requests_total", { outcome: "cancelled" });
    const earlier = await cancelled();
    const leaving = new AbortController();
    const response = await fetch(`${server.url}/generate`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ inputs: text, stream: true, parameters: { split: "sentences", min_new_tokens: 500 } }),
      signal: leaving.signal,
    });
    await response.body?.getReader().read();
    leaving.abort();
    await until(async () => (await cancelled()) === earlier + sentences.length, "all cancelled");
    assert.equal((await server.parts.queue.depth()).running, 0);
  });
});

describe("when rows end out of order, fail or find no place", () => {
  let server: TestServer;
  before(async () => {
    server = await testServer({ config: { maxQueuedRequests: 4 } });
  });
  after(() => server.close());

  const filler = "x ".repeat(95);
  const post = (inputs: string, stream: boolean) => {
    const payload = { inputs, stream, parameters: { split: "sentences" } };
    return server.app.inject({ method: "POST", url: "/generate", payload });
  };

  test("events keep the order of the text", async () => {
    const events = wireEvents((await post(`!ms=1 A${filler}one. B ${filler}two.`, true)).body);
    const joined = events.map(({ data }) => (data["token"] as { text: string }).text).join("");
    assert.ok(joined.indexOf("ONE.") < joined.indexOf("TWO."));
    assert.equal(joined, events.at(-1)?.data["generated_text"]);
  });

  test("one failing row fails the whole, and closing it closes every row", async () => {
    const closed: string[] = [];
    async function* row(name: string, fails: boolean): AsyncGenerator<GenerationEvent, void, void> {
      try {
        yield { type: "token", seq: 1, index: 0, id: 3, text: name, special: false };
        if (fails) throw new AppError("generation", "the model failed");
        await new Promise((resolve) => setTimeout(resolve, 20));
        yield { type: "token", seq: 2, index: 0, id: 4, text: name, special: false };
      } finally {
        closed.push(name);
      }
    }
    const rows = [row("a", false), row("b", true), row("c", false)];
    const whole = joinSentences(rows, ["", " ", " "]);
    const texts: string[] = [];
    await assert.rejects(async () => {
      for (let next = await whole.next(); next.done !== true; next = await whole.next()) {
        if (next.value.type === "token") texts.push(next.value.text);
      }
    }, /the model failed/u);
    assert.deepEqual(texts, ["a"]);
    await whole.return?.();
    assert.deepEqual(closed.sort(), ["a", "b", "c"]);
  });

  test("all get a place or none", async () => {
    const { statusCode } = await post(["A", "B", "C", "D", "E"].map((name) => `${name} ${filler}end.`).join(" "), true);
    assert.equal(statusCode, 429);
    assert.deepEqual(await server.queue.depth(), { queuedRequests: 0, queuedTokens: 0, running: 0 });
  });
});
