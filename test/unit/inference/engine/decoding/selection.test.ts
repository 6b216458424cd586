// The code that walks whole vocabularies, against plain sorting and summing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Candidates } from "../../../../../src/inference/engine/decoding/rules/candidates.js";
import { cutAtMass, softmax } from "../../../../../src/inference/engine/decoding/rules/mass.js";
import { uniform } from "../../../../../src/inference/engine/decoding/rules/random.js";
import { logSumExp, selectTop } from "../../../../../src/inference/engine/decoding/rules/selection.js";

/** Few distinct numbers, so that there are many ties. */
function numbers(seed: number, count: number, distinct: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => Math.floor(uniform(seed, 0, i) * distinct) / 4 - 20);
}

test("the k best are those of a stable sort, ties by lowest id", () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const scores = numbers(seed, 1 + (seed % 90), [3, 10, 1e6][seed % 3]!);
    if (seed % 5 === 0) scores[0] = -Infinity;
    const k = 1 + (seed % 12);
    const order = Array.from(scores, (_, id) => id).filter((id) => scores[id] !== -Infinity);
    const sorted = order.toSorted((a, b) => scores[b]! - scores[a]! || a - b).slice(0, k);
    assert.deepEqual([...selectTop(scores, null, scores.length, k).ids], sorted);
    // The same under other slots.
    const ids = Int32Array.from(order.toReversed());
    const shuffled = Float32Array.from(ids, (id) => scores[id]!);
    const best = selectTop(shuffled, ids, ids.length, k);
    assert.deepEqual([...best.ids], sorted);
    assert.deepEqual(
      [...best.scores],
      sorted.map((id) => scores[id]),
    );
  }
});

test("log-sum-exp is right to ten digits, far below and far above zero", () => {
  for (const [spread, offset] of [
    [1, 0],
    [30, 1e4],
    [200, -1e4],
    [0, 5],
  ] as const) {
    const values = Float32Array.from({ length: 5000 }, (_, i) => offset - spread * uniform(9, 1, i));
    const max = Math.max(...values);
    const exact = max + Math.log(values.reduce((sum, value) => sum + Math.exp(value - max), 0));
    assert.ok(Math.abs(logSumExp(values) - exact) < 1e-10, `${spread} ${offset}`);
  }
  assert.equal(logSumExp(Float32Array.from([-Infinity, 3])), 3);
  assert.equal(logSumExp(Float32Array.from([-Infinity])), -Infinity);
});

test("the cut at a mass is where sorting everything would put it", () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const scores = numbers(seed, 1 + (seed % 70), [4, 60, 1e6][seed % 3]!);
    const weights = softmax(scores);
    const max = Math.max(...scores);
    const keys = Float64Array.from(scores, (score) => max - score);
    const goal = uniform(seed, 1, 0);
    const order = Array.from(keys, (_, slot) => slot).toSorted((a, b) => keys[a]! - keys[b]! || b - a);
    let sum = 0;
    const reached = order.find((slot) => (sum += weights[slot]!) >= goal) ?? order.at(-1)!;
    const cut = cutAtMass(keys, weights, 0, (mass) => mass >= goal);
    assert.equal(cut.key, keys[reached]);
    assert.equal(cut.ties, order.filter((slot) => keys[slot] === cut.key).indexOf(reached) + 1);
  }
});

test("candidates find ids whether dense or sparse, and forget those of the row before", () => {
  const candidates = new Candidates(100);
  candidates.load({ ids: Int32Array.from([7, 3, 50]), logits: Float32Array.from([3, 2, 1]), logSumExp: 0 });
  assert.deepEqual([candidates.slotOf(3), candidates.slotOf(4), candidates.slotOf(500)], [1, -1, -1]);
  candidates.load({ ids: Int32Array.from([4]), logits: Float32Array.from([3]), logSumExp: 0 });
  assert.deepEqual([candidates.slotOf(3), candidates.slotOf(4)], [-1, 0]);
  candidates.load({ ids: null, logits: new Float32Array(100), logSumExp: 0 });
  assert.deepEqual([candidates.slotOf(3), candidates.slotOf(99), candidates.size], [3, 99, 100]);
  candidates.forbid(3);
  candidates.dropForbidden();
  assert.deepEqual([candidates.slotOf(3), candidates.slotOf(4), candidates.size], [-1, 3, 99]);
});
