// Greedy decoding: the best candidate, the lowest id among equals (transformers' GenerationMixin._sample without do_sample).
import type { Decoding } from "../../../../generation.js";
import type { Chooser } from "./independent.js";
import { IndependentSearch } from "./independent.js";
import type { Reporting } from "./need.js";
import type { Rules } from "../rules/processors.js";
import type { Begun } from "../search.js";

// Where everything is forbidden argmax gives 0 in transformers; so here.
const best: Chooser = {
  need: { best: 1, logSumExp: false },
  takesBest: true,
  choose: (candidates) => ({ id: candidates.top(1).ids[0] ?? 0, sampledLogprob: null }),
};

export function greedySearch(decoding: Decoding, rules: Rules, report: Reporting, begun: Begun): IndependentSearch {
  return new IndependentSearch(decoding, 1, rules, best, report, begun);
}
