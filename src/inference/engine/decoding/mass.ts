// Which scores make up the first part of the probability mass, found without sorting a vocabulary: for top_p and typical_p.
import { logSumExp } from "./selection.js";

const bucketCount = 2048;
/** Distances beyond this share the last bucket: such scores weigh next to nothing. */
const spread = 32;

/** [n] probabilities of [n] scores, in float64; minus infinity has probability 0. */
export function softmax(scores: Float32Array): Float64Array {
  const total = logSumExp(scores);
  return Float64Array.from(scores, (score) => Math.exp(score - total));
}

export interface MassCut {
  /** The largest distance inside. */
  readonly distance: number;
  /** How many of those at exactly this distance are needed, in order of slot. */
  readonly ties: number;
}

/**
 * Walks the slots from the smallest distance up, until their weights reach `target`, and says where that was.
 * Two passes: the mass by bucket, then only the bucket in which the target falls is sorted.
 */
export function cutAtMass(distances: Float64Array, weights: Float64Array, target: number): MassCut {
  const mass = new Float64Array(bucketCount);
  for (let slot = 0; slot < distances.length; slot += 1) {
    const bucket = bucketOf(distances[slot] ?? 0);
    mass[bucket] = (mass[bucket] ?? 0) + (weights[slot] ?? 0);
  }
  const { bucket, before } = bucketAt(mass, target);
  const members: number[] = [];
  for (let slot = 0; slot < distances.length; slot += 1) {
    if (bucketOf(distances[slot] ?? 0) === bucket) members.push(slot);
  }
  members.sort((a, b) => (distances[a] ?? 0) - (distances[b] ?? 0) || a - b);
  return cutWithin(members, distances, weights, target - before);
}

function bucketOf(distance: number): number {
  return Math.min(bucketCount - 1, Math.floor((distance * bucketCount) / spread));
}

// Never a bucket without mass: rounding may leave the target just above the sum of all.
function bucketAt(mass: Float64Array, target: number): { bucket: number; before: number } {
  let at = { bucket: 0, before: 0 };
  let sum = 0;
  for (let bucket = 0; bucket < bucketCount; bucket += 1) {
    const own = mass[bucket] ?? 0;
    if (own > 0) at = { bucket, before: sum };
    sum += own;
    if (own > 0 && sum >= target) break;
  }
  return at;
}

function cutWithin(
  members: readonly number[],
  distances: Float64Array,
  weights: Float64Array,
  target: number,
): MassCut {
  let sum = 0;
  let distance = -Infinity;
  let ties = 0;
  for (const slot of members) {
    const own = distances[slot] ?? 0;
    ties = own === distance ? ties + 1 : 1;
    distance = own;
    sum += weights[slot] ?? 0;
    if (sum >= target) break;
  }
  return { distance, ties };
}
