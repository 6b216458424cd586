// Scoring: given ids are walked over with their log-probabilities; entropy is the textbook's.
import assert from "node:assert/strict";
import { test } from "node:test";
import { entropyOf } from "../../../../../src/inference/engine/decoding/searches/scoring.js";
import { startSearch } from "../../../../../src/inference/engine/decoding/searches/start-search.js";
import { decoding } from "../../../../support/models/decoding.js";
import { Candidates } from "../../../../../src/inference/engine/decoding/rules/candidates.js";

const logits = Float32Array.of(1, 2, 3, -Infinity);
const total = Math.log(Math.exp(1) + Math.exp(2) + Math.exp(3));

function search(scored: number[], topN = 0) {
  return startSearch(decoding(), [5, 6], { candidates: new Candidates(4), wantLogprobs: true, topN }, [], scored);
}

test("each given id is scored and fed, whatever the best one is; the last ends it", () => {
  const scoring = search([0, 1, 2]);
  assert.deepEqual(scoring.wanted, { kind: "full" });
  assert.deepEqual(scoring.lastTokens, [1], "the start token");
  const first = scoring.advance([{ kind: "full", logits }]);
  assert.equal(first.outputs, null);
  assert.equal(first.committed[0]?.token.id, 0);
  assert.ok(Math.abs((first.committed[0]?.token.logprob ?? 0) - (1 - total)) < 1e-6);
  assert.equal(first.committed[0]?.token.entropy, undefined, "only with alternatives");
  assert.deepEqual(scoring.lastTokens, [0]);
  scoring.advance([{ kind: "full", logits }]);
  const last = scoring.advance([{ kind: "full", logits }]);
  assert.deepEqual(last.parents, []);
  assert.equal(last.outputs?.[0]?.finishReason, "eos_token");
  assert.ok(Math.abs((last.outputs?.[0]?.score ?? 0) - ((1 + 2 + 3) / 3 - total)) < 1e-6);
});

test("without an end token the output ended by length; a deadline leaves what there is", () => {
  assert.equal(search([3]).advance([{ kind: "full", logits }]).outputs?.[0]?.finishReason, "length");
  const scoring = search([0, 0]);
  scoring.advance([{ kind: "full", logits }]);
  assert.deepEqual(
    scoring.stop("deadline").map(({ tokens, finishReason }) => [tokens.length, finishReason]),
    [[1, "deadline"]],
  );
});

test("what cannot be has a log-probability of minus infinity and doesn't disturb the entropy", () => {
  const { committed } = search([3], 2).advance([{ kind: "full", logits }]);
  const [{ token } = assert.fail()] = committed;
  assert.equal(token.logprob, -Infinity);
  assert.deepEqual(
    token.top?.map(({ id }) => id),
    [2, 1],
  );
  assert.ok(Number.isFinite(token.entropy));
});

test("entropy: ln n when all are alike, 0 when one is certain, the formula in between", () => {
  assert.ok(Math.abs(entropyOf(new Float32Array(8)) - Math.log(8)) < 1e-12);
  assert.equal(entropyOf(Float32Array.of(0, -Infinity, -Infinity)), 0);
  const probabilities = [1, 2, 3].map((logit) => Math.exp(logit - total));
  const expected = -probabilities.reduce((sum, p) => sum + p * Math.log(p), 0);
  assert.ok(Math.abs(entropyOf(logits) - expected) < 1e-7);
});
