// How far two rows of logits lie apart, for the self-check.

/** Gathers over many rows. */
export interface Difference {
  largest: number;
  argmax: number;
}

export function compare(expected: Float32Array, actual: Float32Array, difference: Difference): void {
  difference.largest = Math.max(difference.largest, relativeDifference(expected, actual));
  if (argmax(expected) !== argmax(actual)) difference.argmax += 1;
}

function relativeDifference(expected: Float32Array, actual: Float32Array): number {
  let [largest, scale] = [0, 1e-30];
  for (const [id, value] of expected.entries()) {
    const apart = Math.abs(value - (actual[id] ?? NaN));
    largest = Number.isNaN(apart) ? Infinity : Math.max(largest, apart);
    scale = Math.max(scale, Math.abs(value));
  }
  return largest / scale;
}

function argmax(values: Float32Array): number {
  let best = 0;
  for (const [id, value] of values.entries()) if (value > (values[best] ?? NaN)) best = id;
  return best;
}

export function sameBits(a: Float32Array | undefined, b: Float32Array | undefined): boolean {
  if (a === undefined || b === undefined || a.length !== b.length) return false;
  return a.every((value, index) => Object.is(value, b[index]));
}
