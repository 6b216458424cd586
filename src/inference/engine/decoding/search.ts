// What the engine knows of decoding: a Search is one sequence's policy. Pure: same scores in, same tokens out; no clock, no I/O.
//
//            wanted                          scores of each live row
//   Search ─────────▶ engine runs a step ─────────▶ Search.advance ──▶ Advance { parents, committed, outputs }
import type { EngineOutput, EngineToken, FinishReason } from "../../protocol/engine-protocol.js";

/** What a step must return for a row. `top` holds the k best logits, best first, lowest id first among equals. */
export type Wanted = (
  | { readonly kind: "none" }
  | { readonly kind: "top"; readonly k: number; readonly logSumExp: boolean }
  | { readonly kind: "full" }
) & {
  /** Said by the engine, not by searches: they take attention as it comes. */
  readonly attention?: true;
};

/** One row's raw logits for its next token. Views: valid until the next step, never to be modified. */
export type RowScores = (
  | { readonly kind: "full"; /** [V] */ readonly logits: Float32Array }
  | {
      readonly kind: "top";
      /** [k] */ readonly ids: Int32Array;
      /** [k], descending */ readonly logits: Float32Array;
      /** Over all V; NaN when it was not wanted. */ readonly logSumExp: number;
    }
) & {
  /** Weights over this row's source tokens, where the model gives them and the sequence wants them. */
  readonly attention?: Float32Array;
};

/**
 * Ids that each output begins with, after the prefix: what another worker had chosen. The search takes them for its own choices and continues behind
 * them: rules, draws and lengths are those of the whole. Their tokens have nothing but an id, except with beams, which score them.
 */
export type ResumedIds = readonly (readonly number[])[];

export interface Advance {
  /** New live row i continues old live row parents[i]. null: the same rows in the same order. [] when all are done. */
  readonly parents: readonly number[] | null;
  /** Tokens that are final from now on, in order; `output` says of which returned sequence. */
  readonly committed: readonly { readonly output: number; readonly token: EngineToken }[];
  /** Set once, when the whole sequence is done; best first. Holds all tokens, also those committed before. */
  readonly outputs: readonly EngineOutput[] | null;
}

export interface Search {
  /** The most rows this search will ever hold: what admission reserves. It starts with one. */
  readonly maxRows: number;
  /** What each live row needs from the next step. */
  readonly wanted: Wanted;
  /** Last token of each live row: the decoder input of the next step. */
  readonly lastTokens: readonly number[];
  advance(scores: readonly RowScores[]): Advance;
  /** Outputs as they stand now, for a deadline or a cancel; consistent with what was committed. */
  stop(reason: FinishReason): readonly EngineOutput[];
}
