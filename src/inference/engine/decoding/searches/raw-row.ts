// One row's raw logits as a search sees them: dense (all V) or sparse (the best k), whatever the model chose to return.
// Cutting a full row down to what was wanted makes both answers one, so a result cannot depend on the model's choice.
import { logSumExp, selectTop } from "../rules/selection.js";
import type { RowScores, ScoredToken, Wanted } from "../search.js";

export const notNumbers = "the model's scores are not numbers (NaN)";

/** Raw logits of one row. Views into the model's memory: valid for one `advance`. */
export interface RawRow {
  /** [n] best first, or null when logits holds the whole vocabulary. */
  readonly ids: Int32Array | null;
  /** [n] or [V]. */
  readonly logits: Float32Array;
  /** Over all V, in nats; NaN when it was not wanted. */
  readonly logSumExp: number;
}

/**
 * Reads what the model returned for `wanted`. `logSumExp` asks for it on full rows too.
 * Throws when a model gives the best k where everything was wanted, and when it gives scores that are not numbers.
 */
export function readRow(scores: RowScores, wanted: Wanted, logSumExp: boolean): RawRow {
  // A NaN inside a network has spread to every score by its last product: one score tells.
  if (Number.isNaN(scores.logits[0])) throw new Error(notNumbers);
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
export function logprobOf(row: RawRow, id: number): number | null {
  const slot = row.ids === null ? id : row.ids.indexOf(id);
  const logit = row.logits[slot];
  if (logit === undefined || Number.isNaN(row.logSumExp)) return null;
  return Math.min(0, logit - row.logSumExp);
}

/** The n most probable ids of the raw distribution, best first. */
export function alternatives(row: RawRow, n: number): ScoredToken[] {
  const best = selectTop(row.logits, row.ids, row.logits.length, n);
  return Array.from(best.ids, (id, i) => ({ id, logprob: (best.scores[i] ?? 0) - row.logSumExp }));
}
