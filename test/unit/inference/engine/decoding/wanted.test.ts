// What a search asks a model for: the least that is exact.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Decoding } from "../../../../../src/generation.js";
import { startSearch } from "../../../../../src/inference/engine/decoding/searches/start-search.js";
import type { RowScores } from "../../../../../src/inference/engine/decoding/search.js";
import { plainDecoding } from "./scripted.js";
import { Candidates } from "../../../../../src/inference/engine/decoding/rules/candidates.js";

function wantedBy(options: Partial<Decoding>, wantLogprobs = false, topN = 0) {
  return startSearch({ ...plainDecoding, ...options }, [5, 6, 6], {
    candidates: new Candidates(10_000),
    wantLogprobs,
    topN,
  }).wanted;
}

function top(k: number, logSumExp = false) {
  return { kind: "top", k, logSumExp };
}

test("greedy wants the best logit, and the sum only for log-probabilities", () => {
  assert.deepEqual(wantedBy({}), top(1));
  assert.deepEqual(wantedBy({}, true), top(1, true));
  assert.deepEqual(wantedBy({}, true, 5), top(5, true));
});

test("what may be forbidden or lowered is wanted besides", () => {
  assert.deepEqual(wantedBy({ badWordsIds: [[7], [8], [2]] }), top(3));
  assert.deepEqual(wantedBy({ minNewTokens: 1, eosTokenIds: [2, 3] }), top(3));
  assert.deepEqual(wantedBy({ minNewTokens: 0, minLength: 1 }), top(1));
  assert.deepEqual(wantedBy({ suppressTokens: [4], beginSuppressTokens: [5, 6] }), top(4));
  assert.deepEqual(wantedBy({ prefix: [0, 9, 9], repetitionPenalty: 1.2 }), top(3));
  assert.deepEqual(wantedBy({ prefix: [0, 9, 7, 9], noRepeatNgramSize: 2 }), top(2));
  assert.deepEqual(wantedBy({ encoderNoRepeatNgramSize: 1 }), top(4));
  assert.deepEqual(wantedBy({ encoderRepetitionPenalty: 0.5 }), top(3));
  assert.deepEqual(wantedBy({ numBeams: 4, eosTokenIds: [2, 3], badWordsIds: [[7]] }), top(13, true));
});

test("what may raise an id needs all logits, but only when it is at work", () => {
  const full = { kind: "full" };
  assert.deepEqual(wantedBy({ repetitionPenalty: 0.9 }), full);
  assert.deepEqual(wantedBy({ encoderRepetitionPenalty: 1.5 }), full);
  assert.deepEqual(wantedBy({ sequenceBias: [{ ids: [7], bias: 1 }] }), full);
  assert.deepEqual(wantedBy({ sequenceBias: [{ ids: [7], bias: -1 }] }), top(2));
  assert.deepEqual(wantedBy({ sequenceBias: [{ ids: [7, 8], bias: 1 }] }), top(1));
  assert.deepEqual(wantedBy({ prefix: [0, 7], sequenceBias: [{ ids: [7, 8], bias: 1 }] }), full);
  assert.deepEqual(wantedBy({ exponentialDecayLengthPenalty: [3, 1.5] }), top(1));
  assert.deepEqual(wantedBy({ exponentialDecayLengthPenalty: [-1, 1.5] }), full);
});

test("sampling wants few logits under top_k, all without", () => {
  assert.deepEqual(wantedBy({ doSample: true, topK: 50 }), top(58));
  assert.deepEqual(wantedBy({ doSample: true, topK: 50, typicalP: 0.9, topP: 0.8 }, true), top(58, true));
  assert.deepEqual(wantedBy({ doSample: true, topP: 0.9 }), { kind: "full" });
});

test("under a forced token nothing is wanted, or all for its log-probability", () => {
  for (const numBeams of [1, 3]) {
    assert.deepEqual(wantedBy({ forcedBosTokenId: 7, numBeams }), { kind: "none" });
    assert.deepEqual(wantedBy({ forcedBosTokenId: 7, numBeams }, true), { kind: "full" });
    assert.deepEqual(wantedBy({ forcedEosTokenIds: [2], maxLength: 2, numBeams }), { kind: "none" });
  }
});

test("more than was wanted does not change a choice, less is refused", () => {
  const decoding = { ...plainDecoding, badWordsIds: [[4]] };
  const begin = () => startSearch(decoding, [], { candidates: new Candidates(10), wantLogprobs: false, topN: 0 });
  const more: RowScores = {
    kind: "top",
    ids: Int32Array.from([4, 5, 6, 7]),
    logits: Float32Array.from([4, 3, 2, 1]),
    logSumExp: Number.NaN,
  };
  assert.equal(begin().advance([more]).committed[0]!.token.id, 5);
  assert.throws(() =>
    startSearch({ ...decoding, doSample: true }, [], {
      candidates: new Candidates(10),
      wantLogprobs: false,
      topN: 0,
    }).advance([more]),
  );
  assert.throws(() => begin().advance([]));
});

test("among equal logits the lowest id is chosen", () => {
  const search = startSearch(plainDecoding, [], { candidates: new Candidates(4), wantLogprobs: false, topN: 0 });
  const logits = Float32Array.from([0, 2, 2, 2]);
  assert.equal(search.advance([{ kind: "full", logits }]).committed[0]!.token.id, 1);
});

test("a penalty on an EOS that is forbidden leaves it forbidden", () => {
  const decoding: Decoding = {
    ...plainDecoding,
    minNewTokens: 5,
    exponentialDecayLengthPenalty: [-1, 1.5],
    maxLength: 4,
  };
  const search = startSearch(decoding, [], { candidates: new Candidates(4), wantLogprobs: false, topN: 0 });
  const logits = Float32Array.from([0, 1, 9, 0]);
  assert.equal(search.advance([{ kind: "full", logits }]).committed[0]!.token.id, 1);
});

test("sampling with beams is refused", () => {
  const options = { ...plainDecoding, doSample: true, numBeams: 2 };
  assert.throws(
    () => startSearch(options, [], { candidates: new Candidates(4), wantLogprobs: false, topN: 0 }),
    /not supported/,
  );
});
