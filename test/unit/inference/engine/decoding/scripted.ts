// A scripted model for the searches: logits by a formula (make_oracle.py has the same), handed out full or only as wanted.
import type { Decoding } from "../../../../../src/generation.js";
import type { RowScores, Search, Wanted } from "../../../../../src/inference/engine/decoding/search.js";
import type { EngineOutput } from "../../../../../src/inference/protocol/engine-protocol.js";
import { logSumExp, selectTop } from "../../../../../src/inference/engine/decoding/rules/selection.js";

export interface Script {
  readonly vocab: number;
  readonly seed: number;
  /** 1: by the last id; 2: by the last two; 3: by the last and the position. */
  readonly order: number;
  readonly eos: readonly number[];
  readonly eosStart: number;
  readonly eosSlope: number;
}

export type Answer = "full" | "as wanted";

export function mix(x: number): number {
  x ^= x >>> 16;
  x = Math.imul(x, 0x7feb352d);
  x ^= x >>> 15;
  x = Math.imul(x, 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

export function scriptedLogits(script: Script, ids: readonly number[]): Float32Array {
  const before = script.order === 2 && ids.length > 1 ? ids.at(-2)! : 0;
  const position = script.order === 3 ? ids.length : 0;
  const state = mix(mix(mix(script.seed + before) + ids.at(-1)!) + position);
  const logits = Float32Array.from({ length: script.vocab }, (_, id) => logitOf(mix(state + id)));
  for (const eos of script.eos) logits[eos]! += script.eosStart + script.eosSlope * ids.length;
  return logits;
}

function logitOf(word: number): number {
  return ((word >>> 8) - 2 ** 23) / 2 ** 21 + ((word & 15) === 0 ? 3 : 0);
}

/** What a model may return for `wanted`: no more than that, unless it always returns everything. */
export function scoresFor(logits: Float32Array, wanted: Wanted, answer: Answer): RowScores {
  if (answer === "full" || wanted.kind === "full") return { kind: "full", logits };
  const best = selectTop(logits, null, logits.length, wanted.kind === "top" ? wanted.k : 0);
  const total = wanted.kind === "top" && wanted.logSumExp ? logSumExp(logits) : Number.NaN;
  return { kind: "top", ids: best.ids, logits: best.scores, logSumExp: total };
}

export interface Run {
  readonly outputs: readonly EngineOutput[];
  /** By output. */
  readonly committed: readonly (readonly number[])[];
  /** Steps between a token of output 0 being chosen and being committed, one entry per token. */
  readonly lags: readonly number[];
  readonly wanted: readonly Wanted[];
}

/** Drives a search to its end, as the engine does, and checks that rows, parents and last tokens agree. */
export function drive(
  search: Search,
  decoding: Decoding,
  logitsOf: (ids: readonly number[]) => Float32Array,
  answer: Answer,
): Run {
  let rows: number[][] = [[...decoding.prefix]];
  const committed: number[][] = Array.from({ length: decoding.numReturnSequences }, () => []);
  const lags: number[] = [];
  const wanted: Wanted[] = [];
  for (let step = 1; ; step += 1) {
    const want = search.wanted;
    wanted.push(want);
    const {
      parents,
      committed: now,
      outputs,
    } = search.advance(rows.map((ids) => scoresFor(logitsOf(ids), want, answer)));
    for (const { output, token } of now) {
      committed[output]!.push(token.id);
      if (output === 0) lags.push(step - committed[0]!.length);
    }
    if (outputs !== null) return { outputs, committed, lags, wanted };
    const last = search.lastTokens;
    const from = parents ?? rows.map((_, index) => index);
    if (from.length !== last.length || last.length > search.maxRows)
      throw new Error("rows, parents and last tokens differ");
    rows = from.map((parent, index) => [...rows[parent]!, last[index]!]);
    if (step > 1000) throw new Error("the search does not end");
  }
}

/** transformers' defaults, nothing switched on. */
export const plainDecoding: Decoding = {
  prefix: [0],
  maxLength: 20,
  minLength: 0,
  minNewTokens: 0,
  eosTokenIds: [2],
  padTokenId: 1,
  numReturnSequences: 1,
  numBeams: 1,
  lengthPenalty: 1,
  earlyStopping: false,
  doSample: false,
  seed: 0,
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: null,
  typicalP: 1,
  epsilonCutoff: 0,
  etaCutoff: 0,
  repetitionPenalty: 1,
  encoderRepetitionPenalty: 1,
  noRepeatNgramSize: 0,
  encoderNoRepeatNgramSize: 0,
  badWordsIds: [],
  suppressTokens: [],
  beginSuppressTokens: [],
  forcedBosTokenId: null,
  forcedEosTokenIds: [],
  exponentialDecayLengthPenalty: null,
  sequenceBias: [],
};

/** GenerationConfig names as the oracles have them. */
export interface OracleParams {
  readonly [name: string]: unknown;
}

const renamed: Readonly<Record<string, (value: never, prefix: readonly number[]) => Partial<Decoding>>> = {
  max_new_tokens: (count: number, prefix) => ({ maxLength: prefix.length + count }),
  forced_eos_token_id: (ids: number | number[]) => ({ forcedEosTokenIds: [ids].flat() }),
  sequence_bias: (biases: [number[], number][]) => ({ sequenceBias: biases.map(([ids, bias]) => ({ ids, bias })) }),
};

export function decodingOf(params: OracleParams, prefix: readonly number[], eosTokenIds: readonly number[]): Decoding {
  let decoding: Decoding = { ...plainDecoding, prefix, eosTokenIds };
  for (const [name, value] of Object.entries(params)) {
    const camel = name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
    if (!(name in renamed) && !(camel in plainDecoding)) throw new Error(`unknown parameter ${name}`);
    const own = renamed[name]?.(value as never, prefix) ?? { [camel]: value };
    decoding = { ...decoding, ...own };
  }
  return decoding;
}
