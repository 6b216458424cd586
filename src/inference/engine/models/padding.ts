// Sources of unlike length as one rectangle of ids, with the mask and lengths that tell padding apart.
import type { SourcePlan } from "../../protocol/plan.js";
import type { TensorInfo } from "./onnx-session.js";

export interface PaddedSources {
  readonly batch: number;
  readonly width: number;
  /** [batch × width] */
  readonly ids: Int32Array;
  /** [batch × width], 1 for real tokens */
  readonly mask: Int32Array;
  /** [batch] */
  readonly lengths: Int32Array;
}

/** Pads to `width`, or to the longest source. */
export function padSources(
  sources: readonly (readonly number[])[],
  padId: number,
  minWidth = 0,
  side: "left" | "right" = "right",
): PaddedSources {
  const batch = sources.length;
  const width = sources.reduce((longest, source) => Math.max(longest, source.length), minWidth);
  const ids = new Int32Array(batch * width).fill(padId);
  const mask = new Int32Array(batch * width);
  const lengths = new Int32Array(batch);
  sources.forEach((source, row) => {
    const start = row * width + (side === "left" ? width - source.length : 0);
    ids.set(source, start);
    mask.fill(1, start, start + source.length);
    lengths[row] = source.length;
  });
  return { batch, width, ids, mask, lengths };
}

/** [rows × width] mask with 1 for each row's own source tokens. */
export function lengthMask(lengths: readonly number[], width: number): Int32Array {
  const mask = new Int32Array(lengths.length * width);
  lengths.forEach((length, row) => mask.fill(1, row * width, row * width + length));
  return mask;
}

/** [rows × depth] rows of one-hot numbers; an id below 0 is a row of zeros. */
export function oneHot(ids: ArrayLike<number>, depth: number): Float32Array {
  const rows = new Float32Array(ids.length * depth);
  Array.from(ids).forEach((id, row) => {
    if (id >= depth) throw new Error(`id ${id} in one-hot rows of ${depth}`);
    if (id >= 0) rows[row * depth + id] = 1;
  });
  return rows;
}

/** [B, S], or [B, 1, …, S] where the graph wants more axes. */
export function maskDims(info: TensorInfo | undefined, batch: number, width: number): number[] {
  const rank = info?.dims.length ?? 2;
  return [batch, ...Array.from({ length: Math.max(rank - 2, 0) }, () => 1), width];
}

/** A source for runs whose numbers don't matter. */
export function someSource({ padTo }: SourcePlan): number[] {
  return [0, 0, 0].slice(0, padTo ?? 3);
}
