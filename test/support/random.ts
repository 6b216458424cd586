// Seeded randomness for property tests: a failing seed can be run again. TEST_SCALE says how many of them: CI runs all (1), others a fifth.

const scale = Number(process.env["TEST_SCALE"] ?? 0.2);
if (!(scale > 0)) throw new Error("TEST_SCALE: a number above 0, such as 0.2 or 1");

/** How often a random test is repeated, where `count` times is its full length. */
export function scaled(count: number, least = 1): number {
  return Math.max(least, Math.round(count * scale));
}

/** As many of them as TEST_SCALE says, spread evenly from the first to the last. */
export function thinned<T>(values: readonly T[]): T[] {
  const count = Math.min(values.length, scaled(values.length, 2));
  if (count === values.length) return [...values];
  return Array.from({ length: count }, (_, i) => values[Math.round((i * (values.length - 1)) / (count - 1))] as T);
}

/** mulberry32: numbers in [0, 1). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** Integer from 0 to below `end`. */
export function below(random: () => number, end: number): number {
  return Math.floor(random() * end);
}

export function pick<T>(random: () => number, values: readonly T[]): T {
  return values[below(random, values.length)] as T;
}
