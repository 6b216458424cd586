// The scores that processors and warpers work on: one row's candidates, dense or sparse behind one face.
//
//   RawRow ─ load ─▶ Candidates ─ processors, warpers ─▶ top(k) | a draw
import { selectTop, type BestScores } from "./selection.js";

/** Raw logits of one row, dense (all V) or sparse (the best k). Views into the model's memory: valid for one `advance`. */
export interface RawRow {
  /** [n] best first, or null when logits holds the whole vocabulary. */
  readonly ids: Int32Array | null;
  /** [n] or [V]. */
  readonly logits: Float32Array;
  /** Over all V, in nats; NaN when it was not wanted. */
  readonly logSumExp: number;
}

/**
 * A working copy of one row: ids[slot] has scores[slot], for slot < size. A forbidden id has the score minus infinity.
 * Scores are float32, as in transformers. One object serves all rows of an engine, one after the other: 58,000 scores need not be allocated for each.
 */
export class Candidates {
  readonly vocabSize: number;
  ids: Int32Array;
  scores: Float32Array;
  size = 0;
  readonly #allIds: Int32Array;
  readonly #allScores: Float32Array;
  // [V] slot + 1 of a sparse candidate, 0 where there is none.
  readonly #slots: Int32Array;
  #fewIds = new Int32Array(64);
  #fewScores = new Float32Array(64);

  constructor(vocabSize: number) {
    this.vocabSize = vocabSize;
    this.#allIds = Int32Array.from({ length: vocabSize }, (_, id) => id);
    this.#allScores = new Float32Array(vocabSize);
    this.#slots = new Int32Array(vocabSize);
    this.ids = this.#allIds;
    this.scores = this.#allScores;
  }

  get #isDense(): boolean {
    return this.ids === this.#allIds;
  }

  /** Slot of an id, -1 when it is not among the candidates. */
  slotOf(id: number): number {
    if (id >= this.vocabSize) return -1;
    return this.#isDense ? id : (this.#slots[id] ?? 0) - 1;
  }

  /** Takes the row's logits. */
  load(row: RawRow): void {
    this.#take(row.ids, row.ids?.length ?? this.vocabSize);
    this.scores.set(row.logits.subarray(0, this.size));
  }

  /** Takes the row's log-softmax. */
  loadLogprobs(row: RawRow): void {
    this.#take(row.ids, row.ids?.length ?? this.vocabSize);
    const { scores, size } = this;
    const { logits, logSumExp } = row;
    // Rounding in a graph's log-sum-exp must not make a log-probability positive: beams rely on scores that only fall.
    for (let slot = 0; slot < size; slot += 1) scores[slot] = Math.min(0, (logits[slot] ?? 0) - logSumExp);
  }

  /** Only these ids remain, all with the same score. */
  loadOnly(ids: readonly number[], score: number): void {
    this.#take(Int32Array.from(ids), ids.length);
    this.scores.fill(score, 0, ids.length);
  }

  /** The n highest stay, and all that equal the last of them; best first, lowest id first among equals. */
  keepTop(n: number): void {
    const best = this.top(n);
    const cut = best.scores.at(-1);
    if (cut === undefined) return;
    let tied = 0;
    for (let slot = 0; slot < this.size; slot += 1) if ((this.scores[slot] ?? 0) >= cut) tied += 1;
    const kept = tied > best.ids.length ? this.top(tied) : best;
    this.#take(kept.ids, kept.ids.length);
    this.scores.set(kept.scores);
  }

  /** Only ids that are possible remain, in the same order. */
  dropForbidden(): void {
    const { ids, scores, size } = this;
    let kept = 0;
    for (let slot = 0; slot < size; slot += 1) if (scores[slot] !== -Infinity) kept += 1;
    if (kept === size) return;
    const keptIds = new Int32Array(kept);
    const keptScores = new Float32Array(kept);
    for (let slot = 0, to = 0; slot < size; slot += 1) {
      if (scores[slot] === -Infinity) continue;
      keptIds[to] = ids[slot] ?? 0;
      keptScores[to] = scores[slot] ?? 0;
      to += 1;
    }
    this.#take(keptIds, kept);
    this.scores.set(keptScores);
  }

  top(k: number): BestScores {
    return selectTop(this.scores, this.ids, this.size, k);
  }

  /** That one, whatever the others' scores. */
  only(id: number): BestScores {
    const score = this.scores[this.slotOf(id)] ?? -Infinity;
    return { ids: Int32Array.of(id), scores: Float32Array.of(score) };
  }

  forbid(id: number): void {
    const slot = this.slotOf(id);
    if (slot >= 0) this.scores[slot] = -Infinity;
  }

  #take(ids: Int32Array | null, size: number): void {
    if (!this.#isDense) for (let slot = 0; slot < this.size; slot += 1) this.#slots[this.ids[slot] ?? 0] = 0;
    this.size = size;
    if (ids === null) {
      this.ids = this.#allIds;
      this.scores = this.#allScores;
      return;
    }
    this.#grow(size);
    this.#fewIds.set(ids);
    this.ids = this.#fewIds;
    this.scores = this.#fewScores;
    for (let slot = 0; slot < size; slot += 1) this.#slots[ids[slot] ?? 0] = slot + 1;
  }

  #grow(size: number): void {
    if (size <= this.#fewIds.length) return;
    this.#fewIds = new Int32Array(2 * size);
    this.#fewScores = new Float32Array(2 * size);
  }
}
