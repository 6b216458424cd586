// Sources of unlike length as one rectangle of ids, with the mask and lengths that tell padding apart.

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
