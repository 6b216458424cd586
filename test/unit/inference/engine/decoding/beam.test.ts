import assert from "node:assert/strict";
import { test } from "node:test";
import type { Decoding } from "../../../../../src/generation.js";
import { scaled } from "../../../../support/random.js";
import { uniform } from "../../../../../src/inference/engine/decoding/rules/random.js";
import { startSearch } from "../../../../../src/inference/engine/decoding/searches/start-search.js";
import { drive, plainDecoding, scoresFor, scriptedLogits, type Answer, type Script } from "./scripted.js";
import { Candidates } from "../../../../../src/inference/engine/decoding/rules/candidates.js";

/** Numbers from a seed, for options drawn at random and yet the same in every run. */
function picker(seed: number) {
  let drawn = 0;
  return <T>(choices: readonly T[]): T => choices[Math.floor(uniform(seed, 0, drawn++) * choices.length)]!;
}

function randomCase(seed: number): { script: Script; decoding: Decoding; source: number[] } {
  const pick = picker(seed);
  const script: Script = {
    vocab: pick([12, 20, 60]),
    seed: seed * 31,
    order: pick([1, 2, 3]),
    eos: pick([[2], [2], [2, 5]]),
    eosStart: pick([-4, -1, 0, 2]),
    eosSlope: pick([0, 0.25, 0.5, 1]),
  };
  const numBeams = pick([2, 3, 4, 6]);
  const options = pick<Partial<Decoding>>([
    {},
    {},
    { noRepeatNgramSize: 2 },
    { repetitionPenalty: 1.3, minNewTokens: 3 },
    { repetitionPenalty: 0.7 },
    { sequenceBias: [{ ids: [7], bias: 3 }] },
    { exponentialDecayLengthPenalty: [2, 1.8] },
    { forcedBosTokenId: 4, forcedEosTokenIds: [2], badWordsIds: [[6], [7, 8]] },
  ]);
  const decoding: Decoding = {
    ...plainDecoding,
    prefix: pick([[0], [0], [0, 3]]),
    eosTokenIds: script.eos,
    maxLength: pick([4, 8, 16, 24]),
    numBeams,
    numReturnSequences: pick([1, numBeams]),
    lengthPenalty: pick([1, 1, 0, -1, 0.6, 2]),
    earlyStopping: pick([true, false, "never" as const]),
    ...options,
  };
  return { script, decoding, source: [5, 6] };
}

function begin(decoding: Decoding, script: Script, wantLogprobs = false, topN = 0) {
  return startSearch(decoding, [5, 6], { candidates: new Candidates(script.vocab), wantLogprobs, topN });
}

const runs = scaled(4000);

test(`what is committed is always the beginning of the best output, and all of it at the end, in ${runs} random searches`, () => {
  let tokens = 0;
  let early = 0;
  let lag = 0;
  for (let seed = 1; seed <= runs; seed += 1) {
    const { script, decoding } = randomCase(seed);
    const run = drive(
      begin(decoding, script),
      decoding,
      (ids) => scriptedLogits(script, ids),
      seed % 2 ? "full" : "as wanted",
    );
    const best = run.outputs[0]!.tokens.map(({ id }) => id);
    assert.deepEqual(run.committed[0], best, `seed ${seed}`);
    const steps = run.wanted.length;
    tokens += best.length;
    early += run.lags.filter((late, i) => late + i + 1 < steps).length;
    lag += run.lags.reduce((sum, late) => sum + late, 0);
  }
  // Measured: more than half of the tokens come before the last step, on average 3 to 4 steps after they could at the earliest.
  assert.ok(early / tokens > 0.4, `${early} of ${tokens} were committed before the last step`);
  assert.ok(lag / tokens < 5, `${lag / tokens} steps of lag`);
});

test(`stopped at any step, the best output begins with what was committed`, () => {
  for (let seed = 1; seed <= scaled(400); seed += 1) {
    const { script, decoding } = randomCase(seed);
    const search = begin(decoding, script);
    const committed: number[] = [];
    let rows: number[][] = [[...decoding.prefix]];
    for (;;) {
      const stopped = search.stop("deadline");
      assert.ok(stopped.length >= 1 && stopped.length <= decoding.numReturnSequences);
      assert.ok(stopped.every(({ finishReason }) => finishReason === "deadline"));
      const best = stopped[0]!.tokens.map(({ id }) => id);
      assert.deepEqual(best.slice(0, committed.length), committed, `seed ${seed}`);
      const advance = search.advance(rows.map((ids) => scoresFor(scriptedLogits(script, ids), search.wanted, "full")));
      committed.push(...advance.committed.map(({ token }) => token.id));
      if (advance.outputs !== null) break;
      rows = (advance.parents ?? rows.map((_, i) => i)).map((parent, i) => [...rows[parent]!, search.lastTokens[i]!]);
    }
  }
});

test("all scores and the scores as wanted give the same outputs, to the bit", () => {
  for (let seed = 1; seed <= 300; seed += 1) {
    const { script: small, decoding } = randomCase(seed);
    const script = { ...small, vocab: 500 };
    const run = (answer: Answer) =>
      drive(begin(decoding, script, true, 3), decoding, (ids) => scriptedLogits(script, ids), answer);
    assert.deepEqual(run("as wanted").outputs, run("full").outputs);
  }
});

test("plain beams ask for twice their number of logits and no more", () => {
  const script: Script = { vocab: 500, seed: 1, order: 1, eos: [2], eosStart: 0, eosSlope: 0.25 };
  const decoding = { ...plainDecoding, numBeams: 4 };
  const { wanted } = drive(begin(decoding, script), decoding, (ids) => scriptedLogits(script, ids), "as wanted");
  for (const want of wanted) assert.deepEqual(want, { kind: "top", k: 8, logSumExp: true });
});

test("attention, alternatives and log-probabilities travel with the hypothesis that they belong to", () => {
  for (let seed = 1; seed <= 100; seed += 1) {
    const { script, decoding } = randomCase(seed);
    const search = begin(decoding, script, true, 2);
    let rows: number[][] = [[...decoding.prefix]];
    for (;;) {
      // A row's attention is its ids, in a buffer that the next step overwrites.
      const views = rows.map((ids) => Float32Array.from(ids));
      const scores = rows.map((ids, i) => ({
        ...scoresFor(scriptedLogits(script, ids), search.wanted, "full"),
        attention: views[i]!,
      }));
      const { parents, outputs } = search.advance(scores);
      for (const view of views) view.fill(-1);
      if (outputs !== null) {
        for (const { tokens } of outputs) checkTokens(script, decoding, tokens);
        break;
      }
      rows = (parents ?? rows.map((_, i) => i)).map((parent, i) => [...rows[parent]!, search.lastTokens[i]!]);
    }
  }
});

type Tokens = readonly {
  id: number;
  logprob?: number;
  top?: readonly { id: number; logprob: number }[];
  attention?: Float32Array;
}[];

function checkTokens(script: Script, decoding: Decoding, tokens: Tokens): void {
  const ids = [...decoding.prefix];
  for (const { id, logprob, top, attention } of tokens) {
    const logits = scriptedLogits(script, ids);
    const total = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));
    assert.deepEqual([...attention!], ids);
    assert.ok(Math.abs(logprob! - (logits[id]! - total)) < 1e-6);
    const best = Math.max(...logits);
    assert.equal(top!.length, 2);
    assert.equal(logits[top![0]!.id], best);
    assert.ok(Math.abs(top![0]!.logprob - (best - total)) < 1e-6);
    ids.push(id);
  }
}

test("where every continuation is forbidden the search ends with what it has", () => {
  const script: Script = { vocab: 8, seed: 1, order: 1, eos: [2], eosStart: 0, eosSlope: 0 };
  const decoding = {
    ...plainDecoding,
    numBeams: 3,
    numReturnSequences: 3,
    noRepeatNgramSize: 1,
    minLength: 20,
    maxLength: 20,
  };
  const run = drive(begin(decoding, script), decoding, (ids) => scriptedLogits(script, ids), "full");
  assert.ok(run.outputs.length >= 1);
  assert.equal(run.outputs[0]!.tokens.length, 6);
  assert.equal(run.outputs[0]!.finishReason, "length");
});
