// Decoding options for engine tests: everything off, with what a test names on top.
import type { Decoding } from "../../../src/generation.js";
import { below, pick } from "../random.js";

export function decoding(overrides: Partial<Decoding> = {}): Decoding {
  return {
    prefix: [1],
    maxLength: 33,
    minLength: 0,
    minNewTokens: 0,
    eosTokenIds: [2],
    padTokenId: 0,
    numReturnSequences: 1,
    numBeams: 1,
    lengthPenalty: 1,
    earlyStopping: false,
    doSample: false,
    seed: 1,
    temperature: 1,
    topK: 50,
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
    ...overrides,
  };
}

/** One of the kinds of request that real traffic mixes. */
export function randomDecoding(random: () => number, base: Decoding): Decoding {
  const kinds: (() => Partial<Decoding>)[] = [
    () => ({}),
    () => ({}),
    () => ({ maxLength: base.prefix.length + 1 + below(random, 12) }),
    () => ({ numBeams: 2 + below(random, 4), numReturnSequences: 1 + below(random, 2) }),
    () => ({ numBeams: 3, earlyStopping: pick(random, [true, "never"]), lengthPenalty: pick(random, [0.6, 2, -0.5]) }),
    () => ({ doSample: true, seed: below(random, 1000), topK: pick(random, [0, 5, 50]), topP: pick(random, [0.8, 1]) }),
    () => ({ doSample: true, seed: below(random, 1000), numReturnSequences: 3, temperature: 1.3 }),
    () => ({ repetitionPenalty: 1.3, noRepeatNgramSize: 2 }),
    () => ({ minNewTokens: 6, minLength: base.prefix.length + 6 }),
    () => ({ encoderRepetitionPenalty: 1.2, suppressTokens: [5] }),
  ];
  return { ...base, ...pick(random, kinds)() };
}
