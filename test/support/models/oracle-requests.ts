// Oracles as requests: what a framework answered for each model of test/fixtures/manifests and test/zoo, in the words of POST /generate.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { EndEvent } from "../../../src/generation.js";
import type { Parameters } from "../../../src/parameters.js";
import { readOracle } from "./manifests.js";

export interface OracleRequest {
  readonly inputs: string;
  readonly parameters: Parameters;
  /** Ids of each output, best first. */
  readonly ids: readonly (readonly number[])[];
  /** Of the outputs, for beams. */
  readonly scores: readonly number[];
  /** Of the first output's tokens, where it is greedy. */
  readonly logprobs: readonly number[];
  readonly tolerance: number;
}

interface ZooCase {
  readonly text: string;
  readonly config: string;
  readonly params: Parameters;
  readonly sequences: readonly (readonly number[])[];
  readonly sequences_scores?: readonly number[];
}

interface PaddedIds {
  readonly pad_token_id: number;
  readonly eos_token_id: number;
}

/** Enough to tell searches apart; test/process/server/zoo.test.ts goes through all. */
const zooConfigs = ["greedy", "no-repeat-3", "beam4-n4", "beam5-lp06"];
const zooTolerance = 1e-4;

export function oracleRequests(folder: string): OracleRequest[] {
  return existsSync(join(folder, "config.json")) ? zooRequests(folder) : manifestRequests(folder);
}

function manifestRequests(folder: string): OracleRequest[] {
  const { cases, maxLength, tolerance } = readOracle(folder);
  return cases.flatMap(({ text, greedy, logprobs, beams }) => [
    {
      inputs: text,
      parameters: { max_length: maxLength, details: true },
      ids: [greedy],
      scores: [],
      logprobs,
      tolerance,
    },
    ...beams.map(({ options, ids, scores }) => ({
      inputs: text,
      parameters: { ...(options as Parameters), max_length: maxLength },
      ids,
      scores,
      logprobs: [],
      tolerance,
    })),
  ]);
}

function zooRequests(folder: string): OracleRequest[] {
  const { generate } = readJson<{ generate: ZooCase[] }>(join(folder, "oracle.json"));
  const padded = readJson<PaddedIds>(join(folder, "generation_config.json"));
  return generate
    .filter(({ config }) => zooConfigs.includes(config))
    .map(({ text, params, sequences, sequences_scores: scores = [] }) => ({
      inputs: text,
      parameters: params,
      ids: sequences.map((sequence) => withoutPadding(sequence, padded)),
      scores,
      logprobs: [],
      tolerance: zooTolerance,
    }));
}

/** transformers pads short beams with EOS where the pad id is 0 (`_beam_search`: pad_token_id or eos_token_id[0]). */
export function withoutPadding(sequence: readonly number[], { pad_token_id: pad, eos_token_id: eos }: PaddedIds) {
  const generated = sequence.slice(1);
  const last = generated.findLastIndex((id) => id !== pad && id !== eos);
  return generated.slice(0, generated[last + 1] === eos ? last + 2 : last + 1);
}

/** null when that is the oracle's answer; else what differs. */
export function oracleDifference({ outputs }: EndEvent, expected: OracleRequest): string | null {
  const what = `${JSON.stringify(expected.parameters)} "${expected.inputs}"`;
  const [found, ids] = [outputs.map((output) => output.ids), expected.ids].map((value) => JSON.stringify(value));
  if (found !== ids) return `${what}: ids ${found}, expected ${ids}`;
  const [scores, logprobs] = [
    outputs.map(({ score }) => score),
    outputs[0]?.tokens.map(({ logprob }) => logprob) ?? [],
  ];
  if (!areClose(scores, expected.scores, expected.tolerance))
    return `${what}: scores ${scores}, expected ${expected.scores}`;
  return areClose(logprobs, expected.logprobs, expected.tolerance)
    ? null
    : `${what}: log-probabilities ${logprobs}, expected ${expected.logprobs}`;
}

function areClose(
  found: readonly (number | null | undefined)[],
  expected: readonly number[],
  tolerance: number,
): boolean {
  return expected.every((value, i) => Math.abs(value - (found[i] ?? Number.NaN)) <= tolerance);
}

function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(path, "utf8")) as T;
}
