// All rules on the scores of one sequence, in the order of transformers' GenerationMixin._get_logits_processor.
import type { Decoding } from "../../../protocol/engine-protocol.js";
import type { Candidates } from "./candidates.js";
import { badWords, encoderNoRepeatNgram, minLength, noRepeatNgram, suppress, suppressAtBegin } from "./forbidding.js";
import { encoderRepetitionPenalty, exponentialDecay, repetitionPenalty, sequenceBias } from "./penalties.js";
import type { Processor } from "./processor.js";

/** What a sequence's options do to the scores of its rows. `ids` are always the decoder ids so far, prefix included. */
export interface Rules {
  /** True when scores are never changed. */
  readonly isEmpty: boolean;
  /** True when a score may be raised, so that even a log-probability might end above zero. */
  readonly mayRaise: boolean;
  /** The only ids possible after `length` decoder ids, or null when there is a choice. */
  forced(length: number): readonly number[] | null;
  /** How many ids may be lowered or forbidden here; Infinity when one may be raised. */
  reach(ids: readonly number[]): number;
  /** `row` as for a Processor. */
  apply(candidates: Candidates, ids: readonly number[], row: number): void;
}

export function createRules(decoding: Decoding, sourceIds: readonly number[]): Rules {
  const early = [...scoreProcessors(decoding, sourceIds), ...forbiddingProcessors(decoding, sourceIds)];
  const late = lateProcessors(decoding);
  const all = [...early, ...late];
  const forcedEos = [...new Set(decoding.forcedEosTokenIds)];
  const forced = (length: number) => forcedIds(decoding, forcedEos, length);
  const { forcedBosTokenId, exponentialDecayLengthPenalty: decay } = decoding;
  return {
    isEmpty: all.length === 0 && forcedBosTokenId === null && forcedEos.length === 0,
    mayRaise: (decay !== null && decay[1] > 1) || decoding.sequenceBias.some(({ bias }) => bias > 0),
    forced,
    reach: (ids) => totalReach(all, ids),
    apply: (candidates, ids, row) => {
      const only = forced(ids.length);
      if (only !== null) candidates.loadOnly(only, 0);
      for (const processor of only === null ? all : late) processor.apply(candidates, ids, row);
    },
  };
}

function totalReach(processors: readonly Processor[], ids: readonly number[]): number {
  return processors.reduce((sum, processor) => sum + processor.reach(ids), 0);
}

function scoreProcessors(decoding: Decoding, sourceIds: readonly number[]): Processor[] {
  const processors: Processor[] = [];
  if (decoding.sequenceBias.length > 0) processors.push(sequenceBias(decoding.sequenceBias));
  if (decoding.encoderRepetitionPenalty !== 1) {
    processors.push(encoderRepetitionPenalty(decoding.encoderRepetitionPenalty, sourceIds));
  }
  if (decoding.repetitionPenalty !== 1) processors.push(repetitionPenalty(decoding.repetitionPenalty));
  return processors;
}

function forbiddingProcessors(decoding: Decoding, sourceIds: readonly number[]): Processor[] {
  const { noRepeatNgramSize, encoderNoRepeatNgramSize, badWordsIds, eosTokenIds } = decoding;
  const lowest = Math.max(decoding.minLength, decoding.prefix.length + decoding.minNewTokens);
  const processors: Processor[] = [];
  if (noRepeatNgramSize > 0) processors.push(noRepeatNgram(noRepeatNgramSize));
  if (encoderNoRepeatNgramSize > 0) processors.push(encoderNoRepeatNgram(encoderNoRepeatNgramSize, sourceIds));
  if (badWordsIds.length > 0) processors.push(badWords(badWordsIds, eosTokenIds));
  if (lowest > decoding.prefix.length && eosTokenIds.length > 0) processors.push(minLength(lowest, eosTokenIds));
  return processors;
}

// These come after the forced tokens, and so act on them too.
function lateProcessors(decoding: Decoding): Processor[] {
  const { exponentialDecayLengthPenalty: decay, suppressTokens, beginSuppressTokens, prefix } = decoding;
  const processors: Processor[] = [];
  if (decay !== null) processors.push(exponentialDecay(decay[0] + prefix.length, decay[1], decoding.eosTokenIds));
  if (suppressTokens.length > 0) processors.push(suppress(suppressTokens));
  if (beginSuppressTokens.length > 0) processors.push(suppressAtBegin(beginSuppressTokens, beginLength(decoding)));
  return processors;
}

// A forced first token is not the begin: what follows it is.
function beginLength({ prefix, forcedBosTokenId }: Decoding): number {
  return prefix.length > 1 || forcedBosTokenId === null ? prefix.length : prefix.length + 1;
}

/** transformers' ForcedBOSTokenLogitsProcessor, then ForcedEOSTokenLogitsProcessor, which has the last word. */
function forcedIds(decoding: Decoding, forcedEos: readonly number[], length: number): readonly number[] | null {
  if (forcedEos.length > 0 && length === decoding.maxLength - 1) return forcedEos;
  return decoding.forcedBosTokenId !== null && length === 1 ? [decoding.forcedBosTokenId] : null;
}
