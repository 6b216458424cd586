// What a rule on scores looks like to the searches: processors.ts builds them in transformers' order.
import type { Candidates } from "./candidates.js";

/**
 * One of transformers' LogitsProcessors for one sequence. `ids` are the decoder ids so far, prefix included; `row` is the place
 * of a beam among the live ones, the best first, and 0 without beams.
 */
export interface Processor {
  /**
   * How many ids it may lower or forbid at this point. Infinity when it may raise one: then the best k logits do not tell
   * which id is best afterwards, and all are needed.
   */
  reach(ids: readonly number[]): number;
  apply(candidates: Candidates, ids: readonly number[], row: number): void;
}
