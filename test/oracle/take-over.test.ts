// A generation taken over by another worker: the log and what follows are exactly what an undisturbed run yields, wherever it is cut.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { AppError } from "../../src/errors.js";
import { createInference, type Inference } from "../../src/inference/inference.js";
import type { Parameters } from "../../src/parameters.js";
import { inferenceOptions } from "../support/models/inference-options.js";
import { below, pick, scaled, seededRandom } from "../support/random.js";
import { checkEveryCut, logOf, takenOver, undisturbed, type Told } from "../support/models/take-over.js";

const cacheDir = mkdtempSync(join(tmpdir(), "seqserve-take-over-"));
let shipped: Inference;
let zoo: Inference;

before(async () => {
  shipped = await createInference(inferenceOptions({ modelsDir: "models", cacheDir }));
  zoo = await createInference(inferenceOptions({ modelsDir: "test/zoo", cacheDir, models: ["nllb", "bart", "t5"] }));
  await Promise.all([shipped.ready, zoo.ready]);
});
after(async () => {
  await Promise.all([shipped.close(), zoo.close()]);
  rmSync(cacheDir, { recursive: true, force: true });
});

interface Of {
  readonly of: () => Inference;
  readonly model: string;
  readonly inputs: readonly string[];
  /** Meets the outputs in the middle of tokens and across them. */
  readonly stops: readonly string[];
  /** Target ids to begin with. */
  readonly ids: readonly number[];
}

const textOf = (model: string, from: number, count: number): string[] => {
  const { generate } = JSON.parse(readFileSync(`test/zoo/${model}/oracle.json`, "utf8")) as {
    generate: { text: string }[];
  };
  return [...new Set(generate.map(({ text }) => text))].slice(from, from + count);
};

const models: readonly Of[] = [
  { of: () => shipped, model: "g2p-en", inputs: ["extraordinary", "knights"], stops: ["1 R", "T S"], ids: [5, 9] },
  {
    of: () => shipped,
    model: "itn-en",
    inputs: ["pay three hundred and five dollars on the third of march at quarter past nine p m"],
    stops: ["05 o", "rd at 9"],
    ids: [40, 41, 42],
  },
  { of: () => zoo, model: "nllb", inputs: textOf("nllb", 0, 2), stops: ["e s", "to"], ids: [20, 30] },
  {
    of: () => zoo,
    model: "bart",
    inputs: ["naïve café 😀 über 日本語", "the old town"],
    stops: [" é", "ol"],
    ids: [7, 30],
  },
  { of: () => zoo, model: "t5", inputs: textOf("t5", 0, 2), stops: ["e", "co"], ids: [20, 30] },
];

const seen: Told[] = [];

const all: Parameters = { details: true, top_n_tokens: 3 };

/** Each by its name, for greedy and samples alike. */
function variants({ model, stops, ids }: Of): Record<string, Parameters> {
  return {
    plain: {},
    details: all,
    "repetition penalties": { repetition_penalty: 1.6, no_repeat_ngram_size: 2, encoder_repetition_penalty: 1.2 },
    "lengths and decay": {
      min_new_tokens: 7,
      max_new_tokens: 18,
      exponential_decay_length_penalty: [3, 1.2],
      begin_suppress_tokens: [4, 5, 6, 7, 8, 9, 10, 11, 12],
      logprobs: true,
    },
    "max length": { max_new_tokens: 4 },
    "stop strings": { stop: [...stops], ...all },
    "a prefix": { decoder_input_ids: [...ids], max_new_tokens: 12, min_length: 9, ...all },
    "forced ends": {
      forced_bos_token_id: ids[0]!,
      forced_eos_token_id: ids[1]!,
      begin_suppress_tokens: [4, 5, 6, 7, 8, 9, 10, 11, 12],
      max_new_tokens: 9,
      ...all,
    },
    ...(model === "nllb" && {
      "a language": { tgt_lang: "deu_Latn", src_lang: "fra_Latn", max_new_tokens: 14, ...all },
    }),
    ...(model === "nllb" && { "a language and a stop string": { tgt_lang: "zho_Hans", stop: [...stops] } }),
  };
}

const searches: Record<string, Parameters> = {
  greedy: { num_beams: 1, max_new_tokens: 24 },
  sampling: { do_sample: true, seed: 11, temperature: 1.3, max_new_tokens: 24 },
  "sampling from few": { do_sample: true, seed: 4, top_k: 6, top_p: 0.95, max_new_tokens: 24 },
  "three samples": { do_sample: true, seed: 8, temperature: 1.4, num_return_sequences: 3, max_new_tokens: 16 },
  beams: { num_beams: 4, max_new_tokens: 24 },
  "beams with n-best": {
    num_beams: 4,
    num_return_sequences: 3,
    length_penalty: 0.6,
    early_stopping: true,
    max_new_tokens: 20,
  },
};

for (const [search, parameters] of Object.entries(searches)) {
  for (const model of models) {
    test(`${search} of ${model.model}: taken over at every point it ends as if undisturbed`, async () => {
      const runs: Told[] = [];
      for (const inputs of model.inputs) {
        for (const options of Object.values(variants(model))) {
          const request = { model: model.model, inputs, parameters: { ...parameters, ...options } };
          runs.push(await checkEveryCut(model.of(), request));
        }
      }
      seen.push(...runs);
      assert.ok(runs.reduce((cuts, { tokens }) => cuts + tokens.length + 1, 0) > 60);
    });
  }
}

test("those runs held what makes it hard", () => {
  const reasons = new Set(seen.flatMap(({ end }) => end.outputs.map(({ finishReason }) => finishReason)));
  assert.deepEqual([...reasons].toSorted(), ["eos_token", "length", "stop_sequence"]);
  const texts = seen.flatMap(({ tokens }) => tokens.filter(({ special }) => !special).map(({ text }) => text));
  assert.ok(
    texts.some((text) => text === ""),
    "text that waits for more",
  );
  assert.ok(
    texts.some((text) => text.includes("\ufffd")),
    "bytes that are no character",
  );
  assert.ok(
    seen.some(({ tokens }) => tokens.some(({ index }, at) => index < (tokens[at - 1]?.index ?? 0))),
    "outputs side by side",
  );
});

test("random requests cut at random points, taken over again and again, end as if undisturbed", async () => {
  for (let seed = 1; seed <= scaled(60); seed += 1) {
    const random = seededRandom(seed);
    const model = pick(random, models);
    const parameters = {
      ...pick(random, Object.values(searches)),
      ...pick(random, Object.values(variants(model))),
      ...pick(random, Object.values(variants(model))),
      seed,
    };
    const inference = model.of();
    const prepared = await inference.prepare({ model: model.model, inputs: pick(random, model.inputs), parameters });
    const whole = await undisturbed(inference, prepared);
    let log = logOf(whole.tokens.slice(0, below(random, whole.tokens.length + 1)));
    for (let workers = 1 + below(random, 3); workers > 0; workers -= 1) {
      const again = await takenOver(inference, prepared, log);
      assert.deepEqual(again, whole, JSON.stringify({ seed, model: model.model, parameters, cut: log.length }));
      log = logOf(again.tokens.slice(0, log.length + below(random, whole.tokens.length + 1 - log.length)));
    }
  }
});

/** A log in which the last token is another one, as if its worker had computed otherwise. */
async function tampered(inference: Inference, model: string, parameters: Parameters, inputs: string, length: number) {
  const prepared = await inference.prepare({ model, inputs, parameters });
  const whole = await undisturbed(inference, prepared);
  const events = logOf(whole.tokens.slice(0, length));
  const last = events.at(-1)!;
  // One that the vocabulary writes as a word of its own, which the model had not chosen.
  const other = (await undisturbed(inference, await inference.prepare({ model, inputs: inputs.slice(1), parameters })))
    .tokens;
  const { id } = other.find((token) => token.id !== last.id && !token.special)!;
  const log = [...events.slice(0, -1), { ...last, id }];
  const text = inference.detokenize(
    model,
    log.map((token) => token.id),
    true,
  );
  const before = log.slice(0, -1).reduce((length, token) => length + token.text.length, 0);
  return { prepared, whole, log: [...log.slice(0, -1), { ...last, id, text: text.slice(before) }] };
}

test("a beam log that this machine's search contradicts is resumed after its last token, never contradicted", async () => {
  for (const numReturnSequences of [1, 3]) {
    const parameters = { num_beams: 4, num_return_sequences: numReturnSequences, details: true, max_new_tokens: 24 };
    const { prepared, whole, log } = await tampered(shipped, "g2p-en", parameters, "extraordinary", 6);
    const again = await takenOver(shipped, prepared, log);
    assert.deepEqual(again.tokens.slice(0, log.length), log);
    assert.notDeepEqual(again.tokens, whole.tokens);
    assert.deepEqual(
      again.tokens.map(({ seq }) => seq),
      again.tokens.map((_, at) => at + 1),
    );
    assert.equal(again.end.outputs.length, numReturnSequences);
    for (const { ids } of again.end.outputs)
      assert.deepEqual(
        ids.slice(0, log.length),
        log.map(({ id }) => id),
      );
    const [best] = again.end.outputs;
    assert.deepEqual(
      best!.ids,
      again.tokens.map(({ id }) => id),
    );
    assert.equal(best!.text, again.tokens.map((token) => token.text).join(""));
    assert.equal(best!.finishReason, "eos_token");
    const scores = again.end.outputs.map(({ score }) => score!);
    assert.deepEqual(
      scores,
      scores.toSorted((a, b) => b - a),
    );
    // Whoever takes that over finds the same.
    assert.deepEqual(await takenOver(shipped, prepared, logOf(again.tokens.slice(0, 9))), again);
  }
});

test("greedy resumes after the log's ids even where it would have chosen others", async () => {
  const parameters = { max_new_tokens: 20, details: true };
  const { prepared, log } = await tampered(shipped, "g2p-en", parameters, "extraordinary", 6);
  const ids = log.map(({ id }) => id);
  const prefixed = { max_new_tokens: 14, details: true, decoder_input_ids: ids };
  const forced = await shipped.prepare({ model: "g2p-en", inputs: "extraordinary", parameters: prefixed });
  const [expected] = (await undisturbed(shipped, forced)).end.outputs;
  const { end } = await takenOver(shipped, prepared, log);
  assert.deepEqual(end.outputs[0]!.ids, expected!.ids);
  assert.deepEqual(end.outputs[0]!.tokens.slice(6), expected!.tokens);
});

test("a log that cannot be this generation's is refused, and nothing is yielded", async () => {
  const prepared = await shipped.prepare({
    model: "g2p-en",
    inputs: "knights",
    parameters: { decoder_input_ids: [5] },
  });
  const { tokens } = await undisturbed(shipped, prepared);
  const log = logOf(tokens.slice(0, 3));
  const damaged: Record<string, typeof log> = {
    "a gap": [log[0]!, log[2]!],
    "another forced id": [{ ...log[0]!, id: 6 }, ...log.slice(1)],
    "another output": [log[0]!, { ...log[1]!, index: 1 }],
    "another text": [...log.slice(0, 2), { ...log[2]!, text: "?" }],
  };
  for (const [damage, events] of Object.entries(damaged)) {
    const refused = (error: unknown) =>
      error instanceof AppError && error.kind === "generation" && /taken over/.test(error.message);
    await assert.rejects(takenOver(shipped, prepared, events), refused, damage);
  }
});

test("a deadline that has passed ends a logged generation with what the log has", async () => {
  for (const parameters of [
    {},
    { num_beams: 4 },
    { do_sample: true, seed: 2, num_return_sequences: 2 },
  ] as Parameters[]) {
    const prepared = await shipped.prepare({ model: "g2p-en", inputs: "extraordinary", parameters });
    const whole = await undisturbed(shipped, prepared);
    const late = { ...prepared, deadlineAt: Date.now() - 1 };
    const log = logOf(whole.tokens.slice(0, 5));
    const { tokens, end } = await takenOver(shipped, late, log);
    assert.deepEqual(tokens, log);
    assert.equal(end.outputs[0]!.finishReason, "deadline");
    const own = log.filter(({ index }) => index === 0);
    assert.equal(end.outputs[0]!.text, own.map(({ text }) => text).join(""));
    assert.equal(end.usage.generatedTokens, log.length);
    const complete = await takenOver(shipped, late, logOf(whole.tokens));
    assert.equal(complete.end.outputs[0]!.finishReason, "eos_token");
    await assert.rejects(takenOver(shipped, late, []), { kind: "deadline" });
  }
});

test("aborting a take-over ends it with the signal's reason", async () => {
  const prepared = await shipped.prepare({ model: "g2p-en", inputs: "extraordinary", parameters: {} });
  const { tokens } = await undisturbed(shipped, prepared);
  const abort = new AbortController();
  const events = shipped.continue(prepared, logOf(tokens.slice(0, 2)), abort.signal)[Symbol.asyncIterator]();
  assert.equal((await events.next()).done, false);
  abort.abort(new Error("drained"));
  await assert.rejects(async () => {
    while ((await events.next()).done !== true) continue;
  }, /drained/);
});
