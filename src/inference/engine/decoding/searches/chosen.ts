// From a choice to what is reported of it: log-probabilities, alternatives, attention.
import type { Reporting } from "./need.js";
import { alternatives, logprobOf, readRow, type RawRow } from "./raw-row.js";
import type { ChosenToken, RowScores, ScoredToken, Wanted } from "../search.js";

/** One row of a step: its logits to choose from, and what goes with any token chosen from them. Valid for one `advance`. */
export class StepRow {
  readonly raw: RawRow;
  readonly #attention: Float32Array | undefined;
  readonly #topN: number;
  #copied: { readonly attention?: Float32Array; readonly top?: readonly ScoredToken[] } | null = null;

  /** Throws when the model gave no scores, or less than was wanted. */
  constructor(scores: RowScores | undefined, wanted: Wanted, logSumExp: boolean, topN: number) {
    if (scores === undefined) throw new Error("the model gave no scores for a live row");
    this.raw = readRow(scores, wanted, logSumExp);
    this.#attention = scores.attention;
    this.#topN = topN;
  }

  /** `sampledLogprob` null when it is not reported. */
  token(id: number, sampledLogprob: number | null): ChosenToken {
    const logprob = logprobOf(this.raw, id);
    return {
      id,
      ...(logprob === null ? {} : { logprob }),
      ...(sampledLogprob === null ? {} : { sampledLogprob }),
      ...this.#rest(),
    };
  }

  // Copied, since the model's views end with the step; once, since several beams may continue one row.
  #rest() {
    this.#copied ??= {
      ...(this.#topN > 0 ? { top: alternatives(this.raw, this.#topN) } : {}),
      ...(this.#attention === undefined ? {} : { attention: this.#attention.slice() }),
    };
    return this.#copied;
  }
}

export function reportsLogprobs({ wantLogprobs, topN }: Reporting): boolean {
  return wantLogprobs || topN > 0;
}
