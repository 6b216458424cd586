// What a step must return for a search: the least that gives exactly the same result as all scores would.
import type { Candidates } from "../rules/candidates.js";
import type { Rules } from "../rules/processors.js";
import type { Wanted } from "../search.js";

/** What a caller reports beside the ids. */
export interface Reporting {
  /** Alternatives per token, 0 for none. */
  readonly topN: number;
  readonly wantLogprobs: boolean;
  /** Where rows are worked on, one after the other: all searches of an engine share it. It knows the size of the vocabulary. */
  readonly candidates: Candidates;
}

export interface Need {
  /** How many of the best candidates the search chooses from, after the rules. Infinity: from all. */
  readonly best: number;
  readonly logSumExp: boolean;
}

export function reportsLogprobs({ wantLogprobs, topN }: Pick<Reporting, "wantLogprobs" | "topN">): boolean {
  return wantLogprobs || topN > 0;
}

/** What live rows with these decoder ids need; all are equally long. */
export function wantedFor(rows: readonly (readonly number[])[], need: Need, rules: Rules, report: Reporting): Wanted {
  const length = rows[0]?.length ?? 0;
  if (rules.forced(length) !== null) return reportsLogprobs(report) ? { kind: "full" } : { kind: "none" };
  const reach = rows.reduce((most, ids) => Math.max(most, rules.reach(ids)), 0);
  const k = Math.max(need.best + reach, report.topN);
  if (k >= report.candidates.vocabSize) return { kind: "full" };
  return { kind: "top", k, logSumExp: need.logSumExp || reportsLogprobs(report) };
}
