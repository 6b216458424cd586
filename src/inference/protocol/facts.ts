// What loading found out about a transformer's graphs: how rows share runs, what a row costs, what int8 changes. Plain data: it crosses to the main thread.
import type { Alignment } from "./plan.js";
import { paddedWidth } from "./widths.js";

export interface TransformerFacts {
  /** Which rows may share a run of the decoder. */
  readonly batching: "any_age" | "equal_age" | "one_row";
  /** Why the stock graphs are served as they are; null: they were rewritten. */
  readonly fallbackReason: string | null;
  /** A row's logits had the same bits whoever shared its run; null: not checked, as the stock graphs are served. */
  readonly bitEqual: boolean | null;
  /** Our int8 against fp32 on the built-in texts; null: not int8 of ours, or not compared. */
  readonly int8: Agreement | null;
  readonly rowMemory: RowMemory;
  /** Which cross-attention is handed out; null: none. */
  readonly attention: Alignment | null;
}

/** Bytes that a row keeps between steps: keys and values of its own tokens, and of its source. */
export interface RowMemory {
  readonly perTargetToken: number;
  readonly perSourceToken: number;
}

/** Bytes of one row with these lengths; widths are padded. */
export function rowBytes(
  { perTargetToken, perSourceToken }: RowMemory,
  sourceTokens: number,
  targetTokens: number,
): number {
  return paddedWidth(targetTokens) * perTargetToken + paddedWidth(sourceTokens) * perSourceToken;
}

/** Goes up with every change of what the rewritings make. */
export const rewriterVersion = 8;

export interface Agreement {
  readonly tokens: number;
  /** Tokens on which the best id is the same. */
  readonly same: number;
}
