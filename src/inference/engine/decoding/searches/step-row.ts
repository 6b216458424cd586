// One row of a step as a search sees it: raw logits to choose from, and what is reported of a chosen token (log-probabilities, alternatives, attention).
// Whatever the model returned is cut down to what was wanted, so a result cannot depend on the model's choice.
import type { EngineToken, ScoredToken } from "../../../protocol/engine-protocol.js";
import type { RawRow } from "../rules/candidates.js";
import { logSumExp, selectTop } from "../rules/selection.js";
import type { RowScores, Wanted } from "../search.js";

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
  token(id: number, sampledLogprob: number | null): EngineToken {
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

/**
 * Reads what the model returned for `wanted`. `logSumExp` asks for it on full rows too.
 * Throws when a model gives the best k where everything was wanted, and when it gives scores that are not numbers.
 */
function readRow(scores: RowScores, wanted: Wanted, logSumExp: boolean): RawRow {
  // A NaN inside a network has spread to every score by its last product: one score tells.
  if (Number.isNaN(scores.logits[0])) throw new Error("the model's scores are not numbers (NaN)");
  if (scores.kind === "full") return readFull(scores.logits, wanted, logSumExp);
  if (wanted.kind === "full") throw new Error("the model returned its best logits where all were wanted");
  const k = wanted.kind === "top" ? wanted.k : 0;
  return { ids: scores.ids.subarray(0, k), logits: scores.logits.subarray(0, k), logSumExp: scores.logSumExp };
}

function readFull(logits: Float32Array, wanted: Wanted, wantLogSumExp: boolean): RawRow {
  const total = wantLogSumExp ? logSumExp(logits) : Number.NaN;
  if (wanted.kind !== "top") return { ids: null, logits, logSumExp: total };
  const best = selectTop(logits, null, logits.length, wanted.k);
  return { ids: best.ids, logits: best.scores, logSumExp: total };
}

/** Log-softmax of the raw logits at `id`; null when it is not known. */
function logprobOf(row: RawRow, id: number): number | null {
  const slot = row.ids === null ? id : row.ids.indexOf(id);
  const logit = row.logits[slot];
  if (logit === undefined || Number.isNaN(row.logSumExp)) return null;
  return Math.min(0, logit - row.logSumExp);
}

/** The n most probable ids of the raw distribution, best first. */
function alternatives(row: RawRow, n: number): ScoredToken[] {
  const best = selectTop(row.logits, row.ids, row.logits.length, n);
  return Array.from(best.ids, (id, i) => ({ id, logprob: (best.scores[i] ?? 0) - row.logSumExp }));
}
