// Outputs that are chosen without regard to each other: greedy (one) and sampling (one to n).
//
//   one row ─ first choice ─▶ a row for each output ─▶ each leaves at its own end
//   a resumed output walks over the ids it has, without scores, and chooses behind them
import type { Decoding, EngineOutput, EngineToken, FinishReason } from "../../../protocol/engine-protocol.js";
import { meanLogprob } from "../../../protocol/scores.js";
import type { Candidates } from "../rules/candidates.js";
import type { Rules } from "../rules/processors.js";
import type { Advance, ResumedIds, RowScores, Search, Wanted } from "../search.js";
import { reportsLogprobs, wantedFor, type Need, type Reporting } from "./need.js";
import { StepRow } from "./step-row.js";

export interface Choice {
  readonly id: number;
  readonly sampledLogprob: number | null;
}

/** How one id is chosen from a row's candidates, after the rules. */
export interface Chooser {
  readonly need: Need;
  /** Candidates are the chooser's to change. `position` is the number of decoder ids so far. */
  choose(candidates: Candidates, output: number, position: number): Choice;
}

interface Strand {
  readonly output: number;
  /** After the prefix: what another worker chose. */
  readonly resumedIds: readonly number[];
  readonly ids: number[];
  readonly tokens: EngineToken[];
  finished: FinishReason | null;
}

export class IndependentSearch implements Search {
  readonly maxRows: number;
  readonly #decoding: Decoding;
  readonly #rules: Rules;
  readonly #chooser: Chooser;
  readonly #report: Reporting;
  readonly #strands: readonly Strand[];
  #live: readonly Strand[];
  #wanted: Wanted | null = null;
  #isFirst = true;

  constructor(
    decoding: Decoding,
    outputs: number,
    rules: Rules,
    chooser: Chooser,
    report: Reporting,
    resumedIds: ResumedIds = [],
  ) {
    this.maxRows = outputs;
    this.#decoding = decoding;
    this.#rules = rules;
    this.#chooser = chooser;
    this.#report = report;
    this.#strands = Array.from({ length: outputs }, (_, output) =>
      newStrand(output, decoding.prefix, resumedIds[output] ?? []),
    );
    this.#live = this.#strands;
  }

  get wanted(): Wanted {
    this.#wanted ??= this.#live.every(isResuming) ? { kind: "none" } : this.#wantedToChoose();
    return this.#wanted;
  }

  #wantedToChoose(): Wanted {
    const rows = this.#rowStrands.map((strand) => strand.ids);
    return wantedFor(rows, this.#chooser.need, this.#rules, this.#report);
  }

  get lastTokens(): readonly number[] {
    return this.#rowStrands.map(({ ids }) => ids.at(-1) ?? 0);
  }

  // Before the first choice all outputs are one row.
  get #rowStrands(): readonly Strand[] {
    return this.#isFirst ? this.#live.slice(0, 1) : this.#live;
  }

  advance(scores: readonly RowScores[]): Advance {
    const { wanted } = this;
    const { topN } = this.#report;
    const rows = this.#rowStrands.map(
      (_, index) => new StepRow(scores[index], wanted, reportsLogprobs(this.#report), topN),
    );
    const before = this.#live;
    const committed = before.map((strand, index) => ({
      output: strand.output,
      token: this.#choose(strand, rows[this.#isFirst ? 0 : index]),
    }));
    this.#live = before.filter(({ finished }) => finished === null);
    const parents = this.#live.length === rows.length ? null : this.#parents(before);
    this.#isFirst = false;
    this.#wanted = null;
    return { parents, committed, outputs: this.#live.length === 0 ? this.#outputs("length") : null };
  }

  #parents(before: readonly Strand[]): number[] {
    return this.#live.map((strand) => (this.#isFirst ? 0 : before.indexOf(strand)));
  }

  stop(reason: FinishReason): readonly EngineOutput[] {
    return this.#outputs(reason);
  }

  #choose(strand: Strand, row: StepRow | undefined): EngineToken {
    if (row === undefined) throw new Error(`output ${strand.output} has no row`);
    const resumedId = strand.resumedIds[strand.tokens.length];
    const token = resumedId === undefined ? this.#draw(strand, row) : { id: resumedId };
    strand.ids.push(token.id);
    strand.tokens.push(token);
    if (this.#decoding.eosTokenIds.includes(token.id)) strand.finished = "eos_token";
    else if (strand.ids.length >= this.#decoding.maxLength) strand.finished = "length";
    return token;
  }

  #draw(strand: Strand, row: StepRow): EngineToken {
    const { candidates } = this.#report;
    candidates.load(row.raw);
    this.#rules.apply(candidates, strand.ids, 0);
    const { id, sampledLogprob } = this.#chooser.choose(candidates, strand.output, strand.ids.length);
    return row.token(id, this.#report.wantLogprobs ? sampledLogprob : null);
  }

  #outputs(reason: FinishReason): EngineOutput[] {
    return this.#strands.map(({ tokens, finished }) => ({
      tokens,
      score: meanLogprob(tokens),
      finishReason: finished ?? reason,
    }));
  }
}

function newStrand(output: number, prefix: readonly number[], resumedIds: readonly number[]): Strand {
  return { output, resumedIds, ids: [...prefix], tokens: [], finished: null };
}

/** Its next id was chosen by another worker. */
function isResuming({ resumedIds, tokens }: Strand): boolean {
  return tokens.length < resumedIds.length;
}
