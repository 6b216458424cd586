// One beam step's continuations: the best K of all rows × vocabulary, in order (transformers' _get_top_k_continuations).
import type { BestScores } from "../rules/selection.js";

/** A row continued by an id. */
export interface Continuation {
  readonly row: number;
  readonly id: number;
  /** The row's sum with this id's processed log-probability, float32. */
  readonly sum: number;
  /** Processed log-probability. */
  readonly logprob: number;
}

/** Merges the rows' sorted bests: highest sum first, lowest row first among equals. Shorter than k where less is allowed. */
export function bestContinuations(rows: readonly BestScores[], sums: readonly number[], k: number): Continuation[] {
  const heads = rows.map(() => 0);
  const best: Continuation[] = [];
  while (best.length < k) {
    const next = highestHead(rows, sums, heads);
    if (next === null) break;
    best.push(next);
    heads[next.row] = (heads[next.row] ?? 0) + 1;
  }
  return best;
}

function highestHead(
  rows: readonly BestScores[],
  sums: readonly number[],
  heads: readonly number[],
): Continuation | null {
  let best: Continuation | null = null;
  for (let row = 0; row < rows.length; row += 1) {
    const head = heads[row] ?? 0;
    const logprob = rows[row]?.scores[head];
    if (logprob === undefined) continue;
    const sum = Math.fround((sums[row] ?? 0) + logprob);
    if (best === null || sum > best.sum) best = { row, id: rows[row]?.ids[head] ?? 0, sum, logprob };
  }
  return best;
}
