// What a search must be given: the least that gives exactly the same result as all scores would.
import type { Rules } from "../rules/processors.js";
import type { Wanted } from "../search.js";

/** What a caller reports beside the ids. */
export interface Reporting {
  readonly vocabSize: number;
  readonly wantLogprobs: boolean;
  /** Alternatives per token, 0 for none. */
  readonly topN: number;
}

export interface Need {
  /** How many of the best candidates the search chooses from, after the rules. Infinity: from all. */
  readonly best: number;
  readonly logSumExp: boolean;
}

/** What live rows with these decoder ids need; all are equally long. */
export function wantedFor(rows: readonly (readonly number[])[], need: Need, rules: Rules, report: Reporting): Wanted {
  const length = rows[0]?.length ?? 0;
  const reports = report.wantLogprobs || report.topN > 0;
  if (rules.forced(length) !== null) return reports ? { kind: "full" } : { kind: "none" };
  const reach = rows.reduce((most, ids) => Math.max(most, rules.reach(ids)), 0);
  const k = Math.max(need.best + reach, report.topN);
  if (k >= report.vocabSize) return { kind: "full" };
  return { kind: "top", k, logSumExp: need.logSumExp || reports };
}
