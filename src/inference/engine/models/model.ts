// All the engine knows of a model: sources in, rows stepped, scores out. Each layout (recurrent, transformer, stateless) implements it.
import type { TransformerFacts } from "../../protocol/facts.js";
import type { RowScores, Wanted } from "../decoding/search.js";

/** What the encoder leaves of one source for the decoder (hidden states or cross K/V). Shared by the rows of one sequence. */
export interface Memory {
  /** Source ids, without padding. */
  readonly sourceLength: number;
}

/** One hypothesis in a run. The model keeps its state under the row's identity. */
export interface Row {
  readonly memory: Memory;
  /** Decoder ids already behind this row: P of its next step. */
  age: number;
  /** The decoder id that the next step consumes. */
  token: number;
}

export interface StepScores {
  /** Scores of rows[i] of that step; views, valid until the next step. */
  row(index: number): RowScores;
}

export interface Seq2SeqModel {
  /** Size of the scores' last axis. */
  readonly vocabSize: number;
  /** True when steps can hand out attention rows. */
  readonly hasAttention: boolean;
  /** One padded run. Throws when any source is longer than the model takes. */
  encode(sources: readonly (readonly number[])[]): Promise<Memory[]>;
  /** A new row of age 0 over that memory. */
  open(memory: Memory): Row;
  /** One decoder step for some or all open rows, of ANY age; wanted[i] belongs to rows[i]. Ages go up by one. */
  step(rows: readonly Row[], wanted: readonly Wanted[]): Promise<StepScores>;
  /** New rows of one sequence: new row i continues rows[parents[i]]. Rows not continued are released; the list may grow or shrink. */
  reorder(rows: readonly Row[], parents: readonly number[]): Row[];
  release(rows: readonly Row[]): void;
  /** Frees sessions; no step may be running. */
  close(): Promise<void>;
}

export interface LoadedModel {
  readonly model: Seq2SeqModel;
  /** Sentences on what was chosen and why. */
  readonly notes: readonly string[];
  /** Of a transformer. */
  readonly facts?: TransformerFacts;
}
