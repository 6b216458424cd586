// The padded widths that runs are given.

/** Smallest multiple of `step` that is not below `length`: kernels give the same bits at any batch size on such widths. */
export function paddedWidth(length: number, step = 16): number {
  return Math.ceil(length / step) * step;
}
