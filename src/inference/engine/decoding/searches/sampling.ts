// Sampling: warpers shape the distribution, then one draw, which depends on (seed, output, position) alone.
// transformers' GenerationMixin._sample with do_sample; its random numbers are torch's, ours are Philox (random.ts).
import type { Decoding } from "../../../protocol/engine-protocol.js";
import type { Candidates } from "../rules/candidates.js";
import { softmax } from "../rules/mass.js";
import type { Rules } from "../rules/processors.js";
import { uniform } from "../rules/random.js";
import { largest } from "../rules/selection.js";
import { warpersOf } from "../rules/warpers.js";
import type { ResumedIds } from "../search.js";
import { IndependentSearch, type Choice, type Chooser } from "./independent.js";
import type { Reporting } from "./need.js";

/** Below this all logits are asked for: it costs nothing, and ties at a top_k cut-off are then all seen. */
const smallVocabulary = 4096;
/** Candidates beyond top_k that are looked at for ties with the last of them. */
const tieMargin = 8;

export function samplingSearch(
  decoding: Decoding,
  rules: Rules,
  report: Reporting,
  resumedIds: ResumedIds,
): IndependentSearch {
  const chooser = sampler(decoding, rules, report);
  return new IndependentSearch(decoding, decoding.numReturnSequences, rules, chooser, report, resumedIds);
}

function sampler(decoding: Decoding, rules: Rules, report: Reporting): Chooser {
  const warpers = warpersOf(decoding);
  const isChanged = warpers.length > 0 || !rules.isEmpty;
  const needsAll = decoding.topK === 0 || report.candidates.vocabSize <= smallVocabulary;
  return {
    need: { best: needsAll ? Infinity : decoding.topK + tieMargin, logSumExp: false },
    choose: (candidates, output, position) => {
      for (const warp of warpers) warp(candidates);
      const choice = draw(candidates, uniform(decoding.seed, output, position));
      return isChanged ? choice : { ...choice, sampledLogprob: null };
    },
  };
}

/** Inverts the cumulative distribution at `u` in [0, 1). Where everything is forbidden the answer is 0, as for greedy. */
export function draw({ ids, scores, size }: Candidates, u: number): Choice {
  const possible = scores.subarray(0, size);
  if (largest(possible) === -Infinity) return { id: 0, sampledLogprob: 0 };
  const probabilities = softmax(possible);
  let sum = 0;
  let last = 0;
  for (let slot = 0; slot < size; slot += 1) {
    const p = probabilities[slot] ?? 0;
    if (p === 0) continue;
    sum += p;
    last = slot;
    // Rounding may leave the sum below u at the end: then the last possible one it is.
    if (sum > u) break;
  }
  return { id: ids[last] ?? 0, sampledLogprob: Math.log(probabilities[last] ?? 1) };
}
