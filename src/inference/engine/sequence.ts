// One generation's state in the engine: waiting → encoded → stepping → ended. Holds its rows and its search; knows no model.
//
//   prefix ids are fed one a step (nothing wanted) ─▶ the last one asks for scores ─▶ the search chooses ─▶ … ─▶ outputs
import type { SequenceSpec } from "../protocol/engine-protocol.js";
import type { HistoryMark } from "./batch-history.js";
import type { Candidates } from "./decoding/rules/candidates.js";
import type { Advance, RowScores, Search, Wanted } from "./decoding/search.js";
import { startSearch } from "./decoding/searches/start-search.js";
import type { Row } from "./models/model.js";

const nothing: Wanted = { kind: "none" };

export class Sequence {
  readonly spec: SequenceSpec;
  readonly search: Search;
  rows: Row[] = [];
  /** Asked for from outside, done before the next run: forget it, or end it with what there is. */
  request: "cancel" | "finish" | null = null;
  /** Milliseconds of the engine's clock. */
  readonly submittedAt: number;
  encodeStartedAt = 0;
  decodeStartedAt = 0;
  encodedSources = 0;
  /** The engine's steps before its first. */
  decodeStart: HistoryMark = { steps: 0, rows: 0 };
  #prefixFed = 0;
  #committed = 0;

  /** @param candidates where its search works on rows; shared by all sequences of an engine */
  constructor(spec: SequenceSpec, candidates: Candidates, now: number) {
    this.spec = spec;
    this.submittedAt = now;
    const { decoding, sourceIds, wantLogprobs, topN, resumedIds, scored } = spec;
    this.search = startSearch(decoding, sourceIds, { candidates, wantLogprobs, topN }, resumedIds, scored);
  }

  get hasCommitted(): boolean {
    return this.#committed > 0;
  }

  /** Another worker had emitted more tokens than this one has until now. */
  get isCatchingUp(): boolean {
    return this.#committed < (this.spec.resumedTokens ?? 0);
  }

  /** Takes its first row and sets the first decoder input. */
  open(row: Row): void {
    this.rows = [row];
    this.#feedPrefix();
  }

  get wanted(): Wanted {
    if (this.#inPrefix) return nothing;
    const { wanted } = this.search;
    return this.spec.wantAttention ? { ...wanted, attention: true } : wanted;
  }

  /** Takes one step's scores. Returns null while the prefix is being fed. */
  advance(scores: readonly RowScores[]): Advance | null {
    if (this.#inPrefix) {
      this.#feedPrefix();
      return null;
    }
    const advance = this.search.advance(scores);
    this.#committed += advance.committed.length;
    return advance;
  }

  /** Gives the live rows their next decoder inputs. */
  feed(rows: Row[]): void {
    this.rows = rows;
    const tokens = this.search.lastTokens;
    rows.forEach((row, index) => (row.token = tokens[index] ?? 0));
  }

  get #inPrefix(): boolean {
    return this.#prefixFed < this.spec.decoding.prefix.length;
  }

  #feedPrefix(): void {
    const token = this.spec.decoding.prefix[this.#prefixFed];
    this.#prefixFed += 1;
    for (const row of this.rows) row.token = token ?? 0;
  }
}
