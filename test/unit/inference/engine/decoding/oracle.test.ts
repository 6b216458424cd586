// The searches against the real transformers.generate: test/fixtures/decoding/oracle.json, made by make_oracle.py beside it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Candidates } from "../../../../../src/inference/engine/decoding/rules/candidates.js";
import { softmax } from "../../../../../src/inference/engine/decoding/rules/mass.js";
import { createRules } from "../../../../../src/inference/engine/decoding/rules/processors.js";
import { startSearch } from "../../../../../src/inference/engine/decoding/searches/start-search.js";
import { warpersOf } from "../../../../../src/inference/engine/decoding/rules/warpers.js";
import type { Decoding } from "../../../../../src/generation.js";
import { decodingOf, drive, scriptedLogits, type Answer, type OracleParams, type Script } from "./scripted.js";

interface Case {
  readonly script: Script;
  readonly source: readonly number[];
  readonly prefix: readonly number[];
  readonly params: OracleParams;
}

interface Generated extends Case {
  readonly sequences: readonly (readonly number[])[];
  readonly logprobs: readonly (readonly number[])[];
  readonly scores?: readonly number[];
  readonly processed?: readonly (readonly number[])[];
}

interface Distribution extends Case {
  readonly ids: readonly number[];
  readonly keep: readonly number[];
  readonly probs: readonly number[];
}

interface Oracle {
  readonly generate: readonly Generated[];
  readonly distributions: readonly Distribution[];
}

function read<T>(path: string): T {
  return JSON.parse(readFileSync(path, "utf8")) as T;
}

const oracle = read<Oracle>("test/fixtures/decoding/oracle.json");

function near(actual: readonly (number | undefined)[], expected: readonly number[], what: string): void {
  assert.equal(actual.length, expected.length, what);
  actual.forEach((value, i) =>
    assert.ok(Math.abs(value! - expected[i]!) < 1e-4, `${what}: ${value} is not ${expected[i]}`),
  );
}

function replay(found: Generated, answer: Answer, wantLogprobs: boolean): void {
  const decoding = decodingOf(found.params, found.prefix, found.script.eos);
  const { vocab } = found.script;
  const search = startSearch(decoding, found.source, { candidates: new Candidates(vocab), wantLogprobs, topN: 0 });
  const { outputs, committed } = drive(search, decoding, (ids) => scriptedLogits(found.script, ids), answer);
  const what = JSON.stringify({ ...found, sequences: undefined, logprobs: undefined, processed: undefined });
  const sequences = outputs.map(({ tokens }) => [...found.prefix, ...tokens.map(({ id }) => id)]);
  assert.deepEqual(sequences, found.sequences, what);
  assert.deepEqual(committed[0], sequences[0]?.slice(found.prefix.length), what);
  if (found.scores !== undefined)
    near(
      outputs.map(({ score }) => score!),
      found.scores,
      what,
    );
  if (wantLogprobs)
    outputs.forEach(({ tokens }, i) =>
      near(
        tokens.map(({ logprob }) => logprob),
        found.logprobs[i]!,
        what,
      ),
    );
  if (wantLogprobs && found.processed !== undefined) {
    outputs.forEach(({ tokens }, i) => {
      near(
        tokens.map(({ logprob, sampledLogprob }) => sampledLogprob ?? logprob),
        found.processed![i]!,
        what,
      );
    });
  }
}

const greedy = oracle.generate.filter(({ scores }) => scores === undefined);
const beams = oracle.generate.filter(({ scores }) => scores !== undefined);

for (const answer of ["full", "as wanted"] as const) {
  for (const wantLogprobs of [false, true]) {
    const how = `with scores ${answer}${wantLogprobs ? " and log-probabilities" : ""}`;
    test(`greedy gives what transformers gives in all ${greedy.length} cases, ${how}`, () => {
      for (const found of greedy) replay(found, answer, wantLogprobs);
    });
    test(`beams give what transformers gives in all ${beams.length} cases, ${how}`, () => {
      for (const found of beams) replay(found, answer, wantLogprobs);
    });
  }
}

test("the cases are enough: most were answered by the best k alone, and every option is among them", () => {
  assert.ok(oracle.generate.length > 800);
  const names = new Set(oracle.generate.flatMap(({ params }) => Object.keys(params)));
  assert.equal(names.size, 19, [...names].join(" "));
  const isSparse = (found: Generated) => {
    const decoding = decodingOf(found.params, found.prefix, found.script.eos);
    const search = startSearch(decoding, found.source, {
      candidates: new Candidates(found.script.vocab),
      wantLogprobs: false,
      topN: 0,
    });
    const { wanted } = drive(search, decoding, (ids) => scriptedLogits(found.script, ids), "as wanted");
    return wanted.every(({ kind }) => kind !== "full");
  };
  assert.ok(oracle.generate.filter(isSparse).length > oracle.generate.length / 3);
});

function distributionOf(
  decoding: Decoding,
  source: readonly number[],
  logits: Float32Array,
  ids: readonly number[],
): ReadonlyMap<number, number> {
  const candidates = new Candidates(logits.length);
  candidates.load({ ids: null, logits, logSumExp: Number.NaN });
  createRules(decoding, source).apply(candidates, ids, 0);
  for (const warp of warpersOf(decoding)) warp(candidates);
  const probs = softmax(candidates.scores.subarray(0, candidates.size));
  return new Map(Array.from(probs, (p, slot): [number, number] => [candidates.ids[slot]!, p]).filter(([, p]) => p > 0));
}

test(`processors and warpers leave what transformers leaves in all ${oracle.distributions.length} cases`, () => {
  for (const found of oracle.distributions) {
    const decoding = decodingOf(found.params, found.prefix, found.script.eos);
    const probs = distributionOf(decoding, found.source, scriptedLogits(found.script, found.ids), found.ids);
    const what = JSON.stringify(found);
    assert.deepEqual(
      [...probs.keys()].sort((a, b) => a - b),
      found.keep,
      what,
    );
    near(
      found.keep.map((id) => probs.get(id)),
      found.probs,
      what,
    );
  }
});

interface ZooCase {
  readonly logits: number;
  readonly before: readonly number[];
  readonly params: OracleParams;
  readonly keep: readonly number[];
  readonly probs: readonly number[];
}

test("warpers keep what transformers keeps in all 368 cases of the zoo", () => {
  const zoo = read<{ logits: number[][]; cases: ZooCase[] }>("test/zoo/sampling-oracle.json");
  assert.equal(zoo.cases.length, 368);
  for (const { logits, before, params, keep, probs } of zoo.cases) {
    const decoding = decodingOf({ top_k: 50, ...params }, before, [2]);
    const row = Float32Array.from(zoo.logits[logits]!);
    const found = distributionOf(decoding, [], row, before);
    const what = JSON.stringify({ logits, params, keep, found: [...found.keys()] });
    assert.equal(found.size, keep.length, what);
    // Equal logits at a cut-off leave open which of them stay: what is kept must be alike as numbers.
    const numbers = (values: Iterable<number>) => [...values].sort((a, b) => b - a);
    near(numbers(found.values()), numbers(probs), what);
    const logitsOf = (ids: Iterable<number>) => numbers(Array.from(ids, (id) => row[id]!));
    assert.deepEqual(logitsOf(found.keys()), logitsOf(keep), what);
  }
});
