// Which scores make up the first part of the probability mass, found without sorting a vocabulary: for top_p and typical_p.
import { largest } from "./selection.js";

const bucketCount = 2048;
/** Width of all buckets together, in nats: what lies farther weighs next to nothing. */
export const spread = 32;

/** [n] probabilities of [n] scores, in float64; minus infinity has probability 0. */
export function softmax(scores: Float32Array): Float64Array {
  const max = largest(scores);
  const weights = new Float64Array(scores.length);
  let total = 0;
  for (let slot = 0; slot < scores.length; slot += 1) {
    const weight = Math.exp((scores[slot] ?? 0) - max);
    weights[slot] = weight;
    total += weight;
  }
  for (let slot = 0; slot < weights.length; slot += 1) weights[slot] = (weights[slot] ?? 0) / total;
  return weights;
}

export interface MassCut {
  /** The key at which the mass was reached. */
  readonly key: number;
  /** How many of those with just this key it took, the last slots first. */
  readonly ties: number;
}

/**
 * Walks the slots from the smallest key up until the sum of their weights satisfies `isReached`, and says where that was; the
 * last slot that weighs anything if it never does. Keys lie around low … low + spread; those beyond are right, but slower.
 * Two passes: the mass by bucket, then only the bucket in which it happens is sorted.
 */
export function cutAtMass(
  keys: Float64Array,
  weights: Float64Array,
  low: number,
  isReached: (sum: number) => boolean,
): MassCut {
  const mass = new Float64Array(bucketCount);
  for (let slot = 0; slot < keys.length; slot += 1) {
    const bucket = bucketOf((keys[slot] ?? 0) - low);
    mass[bucket] = (mass[bucket] ?? 0) + (weights[slot] ?? 0);
  }
  const { bucket, before } = bucketAt(mass, isReached);
  const members: number[] = [];
  for (let slot = keys.length - 1; slot >= 0; slot -= 1) {
    if (bucketOf((keys[slot] ?? 0) - low) === bucket) members.push(slot);
  }
  members.sort((a, b) => (keys[a] ?? 0) - (keys[b] ?? 0) || b - a);
  return cutWithin(members, keys, weights, before, isReached);
}

function bucketOf(distance: number): number {
  return Math.max(0, Math.min(bucketCount - 1, Math.floor((distance * bucketCount) / spread)));
}

// Never a bucket without mass: rounding may leave the goal just above the sum of all.
function bucketAt(mass: Float64Array, isReached: (sum: number) => boolean): { bucket: number; before: number } {
  let at = { bucket: 0, before: 0 };
  let sum = 0;
  for (let bucket = 0; bucket < bucketCount; bucket += 1) {
    const own = mass[bucket] ?? 0;
    if (own > 0) at = { bucket, before: sum };
    sum += own;
    if (own > 0 && isReached(sum)) break;
  }
  return at;
}

function cutWithin(
  members: readonly number[],
  keys: Float64Array,
  weights: Float64Array,
  before: number,
  isReached: (sum: number) => boolean,
): MassCut {
  let sum = before;
  let key = -Infinity;
  let ties = 0;
  for (const slot of members) {
    const own = keys[slot] ?? 0;
    ties = own === key ? ties + 1 : 1;
    key = own;
    sum += weights[slot] ?? 0;
    if (isReached(sum)) break;
  }
  return { key, ties };
}
