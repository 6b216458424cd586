// The door to decoding: which policy a sequence's options ask for.
import type { Decoding } from "../../../protocol/engine-protocol.js";
import { createRules, type Rules } from "../rules/processors.js";
import type { ResumedIds, Search } from "../search.js";
import { BeamSearch } from "./beam.js";
import { IndependentSearch, type Chooser } from "./independent.js";
import type { Reporting } from "./need.js";
import { samplingSearch } from "./sampling.js";
import { ScoringSearch } from "./scoring.js";

/**
 * A search that has chosen nothing yet: the engine feeds decoding.prefix, then calls `advance` with the scores of its last id.
 * With `scored` ids nothing is chosen: they are scored. Semantics are those of transformers 4.57 `generate`. Throws on sampling with beams, which is refused as a request.
 */
export function startSearch(
  decoding: Decoding,
  sourceIds: readonly number[],
  report: Reporting,
  resumedIds: ResumedIds = [],
  scored: readonly number[] = [],
): Search {
  if (scored.length > 0) return new ScoringSearch(decoding, report, scored);
  const rules = createRules(decoding, sourceIds);
  if (decoding.numBeams > 1) {
    if (decoding.doSample) throw new Error("sampling with beams is not supported");
    return new BeamSearch(decoding, rules, report, resumedIds[0]);
  }
  return decoding.doSample
    ? samplingSearch(decoding, rules, report, resumedIds)
    : greedySearch(decoding, rules, report, resumedIds);
}

/** The best candidate, the lowest id among equals (transformers' GenerationMixin._sample without do_sample). */
function greedySearch(decoding: Decoding, rules: Rules, report: Reporting, resumedIds: ResumedIds): Search {
  return new IndependentSearch(decoding, 1, rules, best, report, resumedIds);
}

// Where everything is forbidden argmax gives 0 in transformers; so here.
const best: Chooser = {
  need: { best: 1, logSumExp: false },
  choose: (candidates) => ({ id: candidates.top(1).ids[0] ?? 0, sampledLogprob: null }),
};
