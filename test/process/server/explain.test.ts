// POST /explain on the real server, each number held against a second way to it: /generate with forced prefixes, and arithmetic.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startServer, type RunningServer } from "../../../bench/tools/server-process.js";

let server: RunningServer;
before(async () => {
  server = await startServer({ MAX_INPUTS: "5" });
});
after(() => server.stop());

async function post<T>(path: string, body: object): Promise<{ status: number; body: T }> {
  const response = await fetch(server.url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as T };
}

interface Explained {
  generated_text: string;
  source: { id: number; text: string; special: boolean }[];
  tokens: {
    id: number;
    text: string;
    piece: string;
    special: boolean;
    given: boolean;
    logprob: number;
    entropy: number;
    top: { id: number; logprob: number; text: string }[];
  }[];
  score: number;
  attention: number[][] | null;
  occlusion: (number | null)[][] | null;
  usage: { source_tokens: number; generated_tokens: number; scored_outputs: number };
}
interface Generated {
  generated_text: string;
  outputs: { ids: number[]; score: number }[];
  details: {
    tokens: { id: number; logprob: number }[];
    top_tokens: { id: number; logprob: number }[][];
    attention: number[][];
  };
}

const explain = async (body: object) => {
  const answer = await post<Explained>("/explain", body);
  assert.equal(answer.status, 200, JSON.stringify(answer.body));
  return answer.body;
};
const generate = async (body: object) => (await post<Generated>("/generate", body)).body;

function close(actual: number, expected: number, tolerance: number): void {
  assert.ok(Math.abs(actual - expected) <= tolerance, `${actual} is not ${expected} ± ${tolerance}`);
}

/** Log-probability of an id behind a prefix, as /generate's alternatives tell it; null when it is not among the 20 best. */
async function behind(model: string, inputs: string, prefix: number[], id: number): Promise<number | null> {
  const parameters = {
    max_new_tokens: 1,
    top_n_tokens: 20,
    ...(prefix.length > 0 ? { decoder_input_ids: prefix } : {}),
  };
  const { details } = await generate({ model, inputs, parameters });
  return details.top_tokens[0]?.find((token) => token.id === id)?.logprob ?? null;
}

test("tokens, log-probabilities, alternatives and attention are those of /generate", async () => {
  for (const [model, inputs] of [
    ["g2p-en", "knights"],
    ["itn-en", "pay three hundred and five dollars"],
  ] as const) {
    const explained = await explain({ model, inputs });
    const { generated_text, outputs, details } = await generate({
      model,
      inputs,
      parameters: { details: true, top_n_tokens: 5 },
    });
    assert.equal(explained.generated_text, generated_text);
    assert.deepEqual(
      explained.tokens.map(({ id }) => id),
      outputs[0]?.ids,
    );
    explained.tokens.forEach((token, at) => {
      close(token.logprob, details.tokens[at]!.logprob, 1e-5);
      assert.equal(token.given, false);
      token.top.forEach((other, rank) => close(other.logprob, details.top_tokens[at]![rank]!.logprob, 1e-5));
    });
    close(
      explained.score,
      explained.tokens.reduce((sum, { logprob }) => sum + logprob, 0) / explained.tokens.length,
      1e-9,
    );
    assert.deepEqual(explained.attention, details.attention, model);
    assert.equal(explained.attention!.length, explained.tokens.length);
    for (const weights of explained.attention!) {
      assert.equal(weights.length, explained.source.length);
      close(
        weights.reduce((sum, weight) => sum + weight, 0),
        1,
        1e-5,
      );
    }
    assert.equal(explained.source.at(-1)?.special, true);
  }
});

test("the occlusion map is what /generate says of the text without each letter", async () => {
  const inputs = "knee";
  const { tokens, occlusion, source } = await explain({ model: "g2p-en", inputs });
  const ids = tokens.map(({ id }) => id);
  let checked = 0;
  for (const [t, { id, logprob }] of tokens.entries()) {
    for (let s = 0; s < inputs.length; s += 1) {
      const without = inputs.slice(0, s) + inputs.slice(s + 1);
      const other = await behind("g2p-en", without, ids.slice(0, t), id);
      if (other === null) continue;
      checked += 1;
      close(occlusion![t]![s]!, logprob - other, 1e-4);
    }
    assert.equal(occlusion![t]![source.length - 1], null, "the end symbol is never taken away");
  }
  assert.ok(checked >= tokens.length * inputs.length * 0.7, `${checked} cells were checked`);
  assert.ok(occlusion!.flat().some((drop) => drop !== null && drop > 0.5));
});

test("entropy is that of the whole distribution: the 20 best and what is left bound it", async () => {
  const { tokens } = await explain({ model: "g2p-en", inputs: "read", parameters: { top_n_tokens: 20 } });
  const vocabulary = 72;
  for (const { entropy, top } of tokens) {
    const known = top.reduce((sum, { logprob }) => sum - Math.exp(logprob) * logprob, 0);
    const rest = Math.max(0, 1 - top.reduce((sum, { logprob }) => sum + Math.exp(logprob), 0));
    const most = rest === 0 ? 0 : -rest * Math.log(rest / (vocabulary - top.length));
    assert.ok(entropy >= known - 1e-4 && entropy <= known + most + 1e-3, `${known} ≤ ${entropy} ≤ ${known + most}`);
  }
  assert.ok(
    tokens.some(({ entropy }) => entropy > 0.3),
    "some step of read is uncertain",
  );
});

describe("a given output", () => {
  test("as text and as ids gives the same, and its tokens have the probabilities that forcing them shows", async () => {
    const asked = { model: "g2p-en", inputs: "read" };
    const byText = await explain({ ...asked, output: "R IY1 D" });
    const byIds = await explain({ ...asked, output: byText.tokens.map(({ id }) => id) });
    assert.deepEqual(byText, byIds);
    assert.equal(byText.generated_text, "R IY1 D");
    assert.ok(byText.tokens.every(({ given }) => given));
    const ids = byText.tokens.map(({ id }) => id);
    for (const [at, { logprob, id }] of byText.tokens.entries()) {
      const other = await behind("g2p-en", "read", ids.slice(0, at), id);
      close(logprob, other ?? Number.NaN, 1e-4);
    }
    assert.ok(byText.score < (await explain(asked)).score, "a second-best reading is less probable");
  });

  test("works for a transformer with subwords", async () => {
    const { generated_text, source, tokens, attention } = await explain({
      model: "itn-en",
      inputs: "on the third of march",
      output: "on march 3rd",
    });
    assert.equal(generated_text, "on march 3rd");
    assert.equal(tokens.at(-1)?.piece, "</s>");
    // The figure comes from the word.
    const word = source.findIndex(({ text }) => text.includes("third"));
    const figure = tokens.findIndex(({ text }) => text.trim() === "3");
    assert.equal(attention![figure]!.indexOf(Math.max(...attention![figure]!)), word);
  });

  test("a forced prefix is marked as given, what follows as chosen", async () => {
    const whole = await explain({ model: "g2p-en", inputs: "read", output: "R IY1 D" });
    const prefix = whole.tokens.slice(0, 2).map(({ id }) => id);
    const { tokens } = await explain({ model: "g2p-en", inputs: "read", parameters: { decoder_input_ids: prefix } });
    assert.deepEqual(
      tokens.map(({ given }) => given),
      tokens.map((_, at) => at < 2),
    );
    close(tokens[1]!.logprob, whole.tokens[1]!.logprob, 1e-6);
  });
});

test("the answer explained is the one that the options choose: the best beam", async () => {
  const parameters = { num_beams: 4 };
  const { outputs } = await generate({ model: "g2p-en", inputs: "colonel", parameters });
  const { tokens } = await explain({ model: "g2p-en", inputs: "colonel", parameters, occlusion: false });
  assert.deepEqual(
    tokens.map(({ id }) => id),
    outputs[0]?.ids,
  );
});

test("without occlusion the output is scored once; with it once more for each letter", async () => {
  const asked = { model: "g2p-en", inputs: "sixteen" };
  const without = await explain({ ...asked, occlusion: false });
  assert.equal(without.occlusion, null);
  assert.equal(without.usage.scored_outputs, 1);
  assert.equal((await explain(asked)).usage.scored_outputs, 8, "in two portions: MAX_INPUTS is 5");
});

test("a single letter cannot be taken away: nothing would be left", async () => {
  const { occlusion, usage } = await explain({ model: "g2p-en", inputs: "a" });
  assert.equal(usage.scored_outputs, 1);
  assert.ok(occlusion!.flat().every((drop) => drop === null));
});

test("what is too much, wrong or without meaning is refused by name", async () => {
  const g2p = { model: "g2p-en", inputs: "read" };
  const long = "pay ".repeat(70);
  for (const [body, field] of [
    [{ model: "itn-en", inputs: long }, "inputs"],
    [{ model: "itn-en", inputs: "pay", output: Array.from({ length: 129 }, () => 5) }, "output"],
    [{ ...g2p, output: [9999] }, "output"],
    [{ ...g2p, output: "R QQ D" }, "output"],
    [{ ...g2p, output: [] }, "output"],
    [{ ...g2p, inputs: ["a", "b"] }, "inputs"],
    [{ ...g2p, output: "R", parameters: { num_beams: 2 } }, "parameters.num_beams"],
    [{ ...g2p, output: "R", parameters: { decoder_input_ids: [3] } }, "parameters.decoder_input_ids"],
    [{ ...g2p, parameters: { num_beams: 2, num_return_sequences: 2 } }, "parameters.num_return_sequences"],
    [{ ...g2p, parameters: { on_disconnect: "continue" } }, "parameters.on_disconnect"],
    [{ model: "itn-en", inputs: "pay", parameters: { max_new_tokens: 200 } }, "parameters.max_new_tokens"],
    [{ ...g2p, oclusion: true }, "oclusion"],
  ] as const) {
    const answer = await post<{ error: string; field: string }>("/explain", body);
    assert.equal(answer.status, 422, JSON.stringify(body));
    assert.equal(answer.body.field, field, answer.body.error);
  }
});
