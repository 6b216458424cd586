// What the host must know of a compiled transformer: sizes, positions, biases, attention. Plain data.
import type { RowMemory } from "../../protocol/facts.js";
import type { Alignment } from "../../protocol/plan.js";
import type { PositionRule } from "./rewrite/positions.js";
import type { RelativeBias } from "./rewrite/relative-bias.js";

export interface Description {
  readonly layers: number;
  readonly heads: number;
  readonly headDim: number;
  readonly vocabSize: number;
  /** undefined: the step takes no position_ids. */
  readonly positions: PositionRule | undefined;
  /** undefined: self_bias is a mask [B,1,1,P+1]. */
  readonly relativeBias: RelativeBias | undefined;
  /** The files compute in half precision: sums in another order then differ in the third digit. */
  readonly isHalf: boolean;
  /** Where the output `attention` comes from; undefined: there is none. */
  readonly attention: Alignment | undefined;
}

/** 0.key, 0.value, 1.key, … */
export function cacheNames(layers: number): string[] {
  return Array.from({ length: layers }, (_, layer) => [`${layer}.key`, `${layer}.value`]).flat();
}

export function rowMemory(
  { layers, heads, headDim }: Pick<Description, "layers" | "heads" | "headDim">,
  bytes = 4,
): RowMemory {
  const keysAndValues = 2 * layers * heads * headDim * bytes;
  return { perTargetToken: keysAndValues, perSourceToken: keysAndValues };
}
