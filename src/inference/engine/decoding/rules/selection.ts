// Picking the best of many scores and adding up their exponentials: the only code that walks a whole vocabulary.

/** The best scores of a row, highest first, lowest id first among equals. */
export interface BestScores {
  readonly ids: Int32Array;
  readonly scores: Float32Array;
}

/** A short sorted list that few of many scores ever enter, so that nothing needs to be sorted. */
class BestList {
  readonly #capacity: number;
  readonly #ids: Int32Array;
  readonly #scores: Float32Array;
  #count = 0;
  /** What a score must reach to be worth offering. */
  threshold = -Infinity;

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#ids = new Int32Array(capacity);
    this.#scores = new Float32Array(capacity);
  }

  get best(): BestScores {
    return { ids: this.#ids.subarray(0, this.#count), scores: this.#scores.subarray(0, this.#count) };
  }

  offer(score: number, id: number): void {
    const at = this.#placeFor(score, id);
    if (at === this.#capacity) return;
    if (this.#count < this.#capacity) this.#count += 1;
    this.#scores.copyWithin(at + 1, at, this.#count - 1);
    this.#ids.copyWithin(at + 1, at, this.#count - 1);
    this.#scores[at] = score;
    this.#ids[at] = id;
    if (this.#count === this.#capacity) this.threshold = this.#scores[this.#count - 1] ?? -Infinity;
  }

  #placeFor(score: number, id: number): number {
    let at = this.#count;
    while (at > 0 && this.#isAfter(at - 1, score, id)) at -= 1;
    return at;
  }

  #isAfter(place: number, score: number, id: number): boolean {
    const other = this.#scores[place] ?? 0;
    return other < score || (other === score && (this.#ids[place] ?? 0) > id);
  }
}

/**
 * The k best of the first n scores. `ids` names the slots, null when a slot is its id.
 * Minus infinity and NaN are never taken, so the answer may be shorter than k.
 */
export function selectTop(scores: Float32Array, ids: Int32Array | null, n: number, k: number): BestScores {
  const list = new BestList(Math.min(k, n));
  for (let slot = 0; slot < n; slot += 1) {
    const score = scores[slot] ?? -Infinity;
    if (score >= list.threshold && score !== -Infinity) list.offer(score, ids === null ? slot : (ids[slot] ?? 0));
  }
  return list.best;
}

// exp(-i / 256). Four times as fast as Math.exp with the cubic below, and right to 1e-11: a vocabulary is walked for every row.
const reach = 40;
const grid = Float64Array.from({ length: reach * 256 + 1 }, (_, i) => Math.exp(-i / 256));

/**
 * In nats; minus infinity of nothing. Summed in float64: float32 would lose the digits that tell close beams apart.
 * What lies 40 nats below the largest adds nothing that float32 could show.
 */
export function logSumExp(values: Float32Array): number {
  const max = largest(values);
  if (max === -Infinity) return max;
  let sum = 0;
  for (let i = 0; i < values.length; i += 1) {
    const below = max - (values[i] ?? 0);
    if (below >= reach) continue;
    const step = Math.trunc(below * 256);
    const rest = step / 256 - below;
    sum += (grid[step] ?? 0) * (1 + rest * (1 + rest * (0.5 + rest / 6)));
  }
  return max + Math.log(sum);
}

/** Minus infinity for none. */
export function largest(values: Float32Array | Float64Array): number {
  let max = -Infinity;
  for (let i = 0; i < values.length; i += 1) {
    const value = values[i] ?? 0;
    if (value > max) max = value;
  }
  return max;
}
