// Beam search as transformers 4.57 has it (GenerationMixin._beam_search), one sequence at a time, streaming what is certain.
//
//   rows ─ log-softmax, rules ─▶ best K continuations ─▶ complete ones ─▶ finished (best numBeams)
//                                                   └─▶ the best others ─▶ live rows of the next step
import type { Decoding, EngineOutput, EngineToken, FinishReason } from "../../../protocol/engine-protocol.js";
import { penalisedScore } from "../../../protocol/scores.js";
import type { Rules } from "../rules/processors.js";
import type { BestScores } from "../rules/selection.js";
import type { Advance, RowScores, Search, Wanted } from "../search.js";
import { FinishedBeams, type Finished } from "./finished-beams.js";
import {
  commonAncestor,
  descendsFrom,
  extend,
  rootHypothesis,
  sumsOf,
  tokensAfter,
  type Hypothesis,
} from "./hypothesis.js";
import { wantedFor, type Reporting } from "./need.js";
import { StepRow } from "./step-row.js";

/** A live row: `ids` are all its decoder ids, prefix included. */
interface Beam {
  readonly hypothesis: Hypothesis;
  readonly ids: readonly number[];
  /** The row of the step before that it continues. */
  readonly parent: number;
}

/** A row continued by an id. */
interface Continuation {
  readonly row: number;
  readonly id: number;
  /** The row's sum with this id's processed log-probability, float32. */
  readonly sum: number;
  /** Processed log-probability. */
  readonly logprob: number;
}

/**
 * transformers starts all beams but the first at -1e9, and fills a starved beam with repeats at that score; here there are
 * simply fewer rows. Results differ only where so much is forbidden that such repeats are returned there: we return fewer.
 */
export class BeamSearch implements Search {
  readonly maxRows: number;
  readonly #decoding: Decoding;
  readonly #rules: Rules;
  readonly #report: Reporting;
  readonly #width: number;
  readonly #resumedIds: readonly number[];
  readonly #finished: FinishedBeams;
  #live: readonly Beam[];
  /** The end of what was committed. */
  #committed = rootHypothesis();
  #wanted: Wanted | null = null;

  constructor(decoding: Decoding, rules: Rules, report: Reporting, resumedIds: readonly number[] = []) {
    this.maxRows = decoding.numBeams;
    this.#decoding = decoding;
    this.#rules = rules;
    this.#report = report;
    this.#resumedIds = resumedIds;
    // Wide enough that numBeams continuations remain even when each row's best are all its EOS ids.
    this.#width = Math.max(2, 1 + decoding.eosTokenIds.length) * decoding.numBeams;
    this.#finished = new FinishedBeams(decoding, rules.mayRaise);
    this.#live = [{ hypothesis: this.#committed, ids: decoding.prefix, parent: 0 }];
  }

  get wanted(): Wanted {
    if (this.#resumedId !== null) return { kind: "full" };
    const rows = () => this.#live.map(({ ids }) => ids);
    this.#wanted ??= wantedFor(rows(), { best: this.#width, logSumExp: true }, this.#rules, this.#report);
    return this.#wanted;
  }

  /** The id that all hypotheses continue with, where another worker has emitted it. */
  get #resumedId(): number | null {
    return this.#resumedIds[this.#live[0]?.hypothesis.length ?? 0] ?? null;
  }

  get lastTokens(): readonly number[] {
    return this.#live.map(({ ids }) => ids.at(-1) ?? 0);
  }

  advance(scores: readonly RowScores[]): Advance {
    const { wanted } = this;
    const rows = this.#live.map(
      (_, index) => new StepRow(scores[index], wanted, wanted.kind !== "none", this.#report.topN),
    );
    const before = this.#live;
    const survivors = this.#split(this.#continuations(rows), rows);
    const [best] = survivors;
    this.#wanted = null;
    if (best === undefined || this.#finished.isEnough(best.hypothesis)) return this.#end();
    this.#live = survivors;
    const parents = survivors.map(({ parent }) => parent);
    const isUnchanged = parents.length === before.length && parents.every((parent, index) => parent === index);
    return { parents: isUnchanged ? null : parents, committed: this.#commit(this.#agreedPrefix()), outputs: null };
  }

  /** Of what is complete and what is live the best as they stand; the first begins with all that was committed. */
  stop(reason: FinishReason): readonly EngineOutput[] {
    return this.#currentBest().map(({ hypothesis, score }) => toOutput({ hypothesis, score, finishReason: reason }));
  }

  #continuations(rows: readonly StepRow[]): Continuation[] {
    const { candidates } = this.#report;
    const resumedId = this.#resumedId;
    const best = rows.map(({ raw }, index) => {
      candidates.loadLogprobs(raw);
      this.#rules.apply(candidates, this.#live[index]?.ids ?? [], index);
      return resumedId === null ? candidates.top(this.#width) : candidates.only(resumedId);
    });
    const sums = this.#live.map(({ hypothesis }) => hypothesis.sum);
    return bestContinuations(best, sums, this.#width);
  }

  // Only the first numBeams may finish: the others are there so that enough can continue.
  #split(continuations: readonly Continuation[], rows: readonly StepRow[]): Beam[] {
    const { numBeams } = this.#decoding;
    const survivors: Beam[] = [];
    continuations.forEach((continuation, rank) => {
      const finishReason = this.#finishOf(continuation);
      if (finishReason !== null && rank < numBeams) {
        this.#finished.add(this.#continue(continuation, rows).hypothesis, finishReason);
      } else if (finishReason === null && survivors.length < numBeams) {
        survivors.push(this.#continue(continuation, rows));
      }
    });
    return survivors;
  }

  #finishOf({ row, id }: Continuation): FinishReason | null {
    if (this.#decoding.eosTokenIds.includes(id)) return "eos_token";
    const length = (this.#live[row]?.ids.length ?? 0) + 1;
    return length >= this.#decoding.maxLength ? "length" : null;
  }

  #continue({ row, id, sum, logprob }: Continuation, rows: readonly StepRow[]): Beam {
    const parent = this.#live[row];
    const stepRow = rows[row];
    if (parent === undefined || stepRow === undefined) throw new Error(`row ${row} is not live`);
    const isReported = this.#report.wantLogprobs && !this.#rules.isEmpty;
    const token = stepRow.token(id, isReported ? logprob : null);
    return { hypothesis: extend(parent.hypothesis, token, sum), ids: [...parent.ids, id], parent: row };
  }

  /** The longest prefix of whatever may yet be the best output. */
  #agreedPrefix(): Hypothesis {
    const leader = this.#finished.best[0]?.hypothesis;
    const live = this.#live.map(({ hypothesis }) => hypothesis);
    const contenders = live.filter((hypothesis) => this.#finished.mayLoseTo(hypothesis));
    const [first, ...others] = leader === undefined ? contenders : [leader, ...contenders];
    return first === undefined ? this.#committed : commonAncestor(first, others);
  }

  #commit(until: Hypothesis): { output: number; token: EngineToken }[] {
    const tokens = tokensAfter(until, this.#committed);
    this.#committed = until;
    return tokens.map((token) => ({ output: 0, token }));
  }

  // Nothing is complete when all continuations of all rows were forbidden: then what is there must do.
  #end(): Advance {
    const complete = this.#finished.best.slice(0, this.#decoding.numReturnSequences);
    const outputs = complete.length > 0 ? complete : this.#currentBest();
    const [best] = outputs;
    const committed = best === undefined ? [] : this.#commit(best.hypothesis);
    this.#live = [];
    return { parents: [], committed, outputs: outputs.map(toOutput) };
  }

  #currentBest(): readonly Finished[] {
    const live = this.#live.map(({ hypothesis }): Finished => {
      const { sum, length } = hypothesis;
      const score = length === 0 ? 0 : penalisedScore(sum, length, this.#decoding.lengthPenalty);
      return { hypothesis, score, finishReason: "length" };
    });
    const all = [...this.#finished.best, ...live].sort((a, b) => b.score - a.score);
    const first = all.filter(({ hypothesis }) => descendsFrom(hypothesis, this.#committed)).slice(0, 1);
    return [...first, ...all.filter((output) => !first.includes(output))].slice(0, this.#decoding.numReturnSequences);
  }
}

function toOutput({ hypothesis, score, finishReason }: Finished): EngineOutput {
  return {
    tokens: tokensAfter(hypothesis),
    score: hypothesis.length === 0 ? null : score,
    finishReason,
    sums: sumsOf(hypothesis),
  };
}

/** Merges the rows' sorted bests into the best k of all (transformers' _get_top_k_continuations): highest sum first, lowest row first among equals. Shorter than k where less is allowed. */
function bestContinuations(rows: readonly BestScores[], sums: readonly number[], k: number): Continuation[] {
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
