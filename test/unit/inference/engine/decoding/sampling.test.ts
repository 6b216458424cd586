import assert from "node:assert/strict";
import { test } from "node:test";
import type { Decoding } from "../../../../../src/generation.js";
import { Candidates } from "../../../../../src/inference/engine/decoding/rules/candidates.js";
import { draw } from "../../../../../src/inference/engine/decoding/searches/sampling.js";
import { startSearch } from "../../../../../src/inference/engine/decoding/searches/start-search.js";
import { drive, plainDecoding, scoresFor, scriptedLogits, type Answer, type Script } from "./scripted.js";

const script: Script = { vocab: 30, seed: 11, order: 2, eos: [2], eosStart: -2, eosSlope: 0.25 };
const wide: Script = { ...script, vocab: 6000 };
const sampled: Decoding = { ...plainDecoding, doSample: true, seed: 5, maxLength: 16 };

function run(decoding: Decoding, of = script, answer: Answer = "full", wantLogprobs = false, topN = 0) {
  const search = startSearch(decoding, [3, 4], { candidates: new Candidates(of.vocab), wantLogprobs, topN });
  return drive(search, decoding, (ids) => scriptedLogits(of, ids), answer);
}

function idsOf(decoding: Decoding, of = script, answer: Answer = "full"): number[][] {
  return run(decoding, of, answer).outputs.map(({ tokens }) => tokens.map(({ id }) => id));
}

test("the same seed gives the same tokens, another seed others", () => {
  assert.deepEqual(idsOf(sampled), idsOf(sampled));
  const texts = new Set(Array.from({ length: 50 }, (_, seed) => idsOf({ ...sampled, seed }).join()));
  assert.ok(texts.size > 40);
});

test("an output is the same however many others there are beside it", () => {
  const alone = idsOf(sampled);
  const together = idsOf({ ...sampled, numReturnSequences: 6 });
  assert.deepEqual(together[0], alone[0]);
  assert.deepEqual(together.slice(0, 3), idsOf({ ...sampled, numReturnSequences: 3 }));
  assert.ok(new Set(together.map((ids) => ids.join())).size > 4);
});

test("several outputs start as one row, fan out after the first choice and leave one by one", () => {
  const decoding = { ...sampled, numReturnSequences: 4, eosTokenIds: [2, 5, 7, 9, 11], maxLength: 30 };
  const search = startSearch(decoding, [], { candidates: new Candidates(script.vocab), wantLogprobs: false, topN: 0 });
  assert.equal(search.maxRows, 4);
  let rows: number[][] = [[0]];
  const counts: number[] = [];
  for (let isDone = false; !isDone;) {
    counts.push(rows.length);
    assert.deepEqual(
      search.lastTokens,
      rows.map((ids) => ids.at(-1)),
    );
    const { parents, outputs } = search.advance(
      rows.map((ids) => scoresFor(scriptedLogits(script, ids), search.wanted, "full")),
    );
    if (parents === null) assert.equal(search.lastTokens.length, rows.length);
    const from = parents ?? rows.map((_, i) => i);
    rows = from.map((parent, i) => [...rows[parent]!, search.lastTokens[i]!]);
    isDone = outputs !== null;
  }
  assert.equal(counts[0], 1);
  assert.ok(counts[1]! > 1);
  assert.equal(rows.length, 0);
  for (let i = 2; i < counts.length; i += 1) assert.ok(counts[i]! <= counts[i - 1]!);
});

test("every token is committed at once, under the number of its output", () => {
  const { outputs, committed, lags } = run({ ...sampled, numReturnSequences: 3 });
  assert.deepEqual(
    committed,
    outputs.map(({ tokens }) => tokens.map(({ id }) => id)),
  );
  assert.ok(lags.every((lag) => lag === 0));
});

test("frequencies are the probabilities", () => {
  const candidates = new Candidates(8);
  const logits = Float32Array.from([0, 1, 2, -1, -Infinity, 0.5, 1.5, -2]);
  const weights = Array.from(logits, (logit) => Math.exp(logit));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const decoding = { ...sampled, maxLength: 2 };
  const draws = 20_000;
  const counts = Array.from({ length: 8 }, () => 0);
  for (let seed = 0; seed < draws; seed += 1) {
    const search = startSearch({ ...decoding, seed }, [], {
      candidates: new Candidates(8),
      wantLogprobs: false,
      topN: 0,
    });
    const { committed } = search.advance([{ kind: "full", logits }]);
    counts[committed[0]!.token.id]! += 1;
  }
  assert.equal(counts[4], 0);
  const chi = counts.reduce((sum, count, id) => {
    const expected = (draws * weights[id]!) / total;
    return expected === 0 ? sum : sum + (count - expected) ** 2 / expected;
  }, 0);
  // 6 degrees of freedom: 22.5 is exceeded once in a thousand.
  assert.ok(chi < 22.5, String(chi));
  candidates.load({ ids: null, logits, logSumExp: Number.NaN });
  assert.equal(draw(candidates, 0).id, 0);
  assert.equal(draw(candidates, 1 - 2 ** -53).id, 7);
});

test("with a large vocabulary top_k asks for few logits, and gets the same tokens as from all", () => {
  const options: Partial<Decoding>[] = [
    { topK: 50 },
    { topK: 5, temperature: 0.7, topP: 0.9 },
    { topK: 20, repetitionPenalty: 1.4, noRepeatNgramSize: 2, badWordsIds: [[17], [4, 5]] },
    { topK: 12, typicalP: 0.8, minNewTokens: 4, suppressTokens: [9, 10] },
    { topK: 8, epsilonCutoff: 0.02, etaCutoff: 0.05, minP: 0.01, forcedBosTokenId: 3, forcedEosTokenIds: [2] },
  ];
  for (const option of options) {
    for (let seed = 0; seed < 5; seed += 1) {
      const decoding = { ...sampled, ...option, seed, numReturnSequences: 2 };
      const few = run(decoding, wide, "as wanted", true, 3);
      // The harness answers in float64 as the search computes it, so that even log-probabilities are alike to the bit.
      assert.deepEqual(few.outputs, run(decoding, wide, "full", true, 3).outputs);
      const free = run(decoding, wide, "as wanted");
      assert.ok(free.wanted.every((wanted) => wanted.kind === "none" || (wanted.kind === "top" && wanted.k < 200)));
    }
  }
});

test("log-probabilities are the model's own, and those sampled from are given when they differ", () => {
  const [plain] = run(sampled, script, "full", true).outputs;
  for (const { logprob, sampledLogprob } of plain!.tokens) {
    assert.ok(logprob! < 0);
    assert.equal(sampledLogprob, undefined);
  }
  const [warped] = run({ ...sampled, topK: 1 }, script, "full", true).outputs;
  for (const { logprob, sampledLogprob } of warped!.tokens) {
    assert.ok(logprob! < 0);
    assert.equal(sampledLogprob, 0);
  }
  const mean = warped!.tokens.reduce((sum, { logprob }) => sum + logprob!, 0) / warped!.tokens.length;
  assert.equal(warped!.score, mean);
  assert.equal(run(sampled).outputs[0]!.score, null);
});

test("top_k of one is greedy", () => {
  assert.deepEqual(idsOf({ ...sampled, topK: 1 }), idsOf({ ...sampled, doSample: false }));
});

test("a search that another worker began goes on with the same tokens, of every output", () => {
  const options: Partial<Decoding>[] = [
    {},
    { topK: 7, temperature: 0.8, repetitionPenalty: 1.3, noRepeatNgramSize: 2 },
    { minNewTokens: 6, exponentialDecayLengthPenalty: [7, 1.3], beginSuppressTokens: [4, 5, 6, 7, 8] },
    { forcedBosTokenId: 9, forcedEosTokenIds: [2], beginSuppressTokens: [10, 11, 12, 13], minLength: 7 },
    { doSample: false, exponentialDecayLengthPenalty: [1, 1.4], sequenceBias: [{ ids: [7, 8], bias: 4 }] },
  ];
  for (const option of options) {
    for (const prefix of [[0], [0, 8, 6]]) {
      const decoding = { ...sampled, ...option, prefix };
      for (const numReturnSequences of decoding.doSample ? [1, 3] : [1]) {
        const of = { ...decoding, numReturnSequences };
        const { outputs } = run(of, script, "full", true, 2);
        const longest = Math.max(...outputs.map(({ tokens }) => tokens.length));
        for (let cut = 0; cut <= longest; cut += 1) {
          // Outputs are never further apart than one token.
          const resumedIds = outputs.map(({ tokens }, output) =>
            tokens.slice(0, cut - (output > 0 ? 1 : 0)).map(({ id }) => id),
          );
          const search = startSearch(
            of,
            [3, 4],
            { candidates: new Candidates(script.vocab), wantLogprobs: true, topN: 2 },
            resumedIds,
          );
          const again = drive(search, of, (ids) => scriptedLogits(script, ids), "full");
          const expected = outputs.map(({ tokens, finishReason }, output) => ({
            tokens: tokens.map((token, at) => (at < resumedIds[output]!.length ? { id: token.id } : token)),
            finishReason,
          }));
          assert.deepEqual(
            again.outputs.map(({ tokens, finishReason }) => ({ tokens, finishReason })),
            expected,
            JSON.stringify({ option, prefix, cut }),
          );
        }
      }
    }
  }
});

test("stopping leaves the outputs as they stand, finished ones with their own reason", () => {
  const decoding = { ...sampled, numReturnSequences: 3, eosTokenIds: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], maxLength: 40 };
  const search = startSearch(decoding, [], { candidates: new Candidates(script.vocab), wantLogprobs: true, topN: 0 });
  assert.deepEqual(
    search.stop("cancelled").map(({ tokens, score }) => [tokens.length, score]),
    [
      [0, null],
      [0, null],
      [0, null],
    ],
  );
  let rows: number[][] = [[0]];
  while (search.lastTokens.length !== 2) {
    const { parents } = search.advance(
      rows.map((ids) => scoresFor(scriptedLogits(script, ids), search.wanted, "full")),
    );
    rows = (parents ?? rows.map((_, i) => i)).map((parent, i) => [...rows[parent]!, search.lastTokens[i]!]);
  }
  const reasons = search.stop("deadline").map(({ finishReason }) => finishReason);
  assert.deepEqual(reasons.toSorted(), ["deadline", "deadline", "eos_token"]);
});
