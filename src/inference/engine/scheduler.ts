// Which sequences run in the next step. Pure policy: no clock, no tensors, no promises.
//
//   add ─▶ waiting ──admit──▶ running ──remove──▶ gone
import type { Sequence } from "./sequence.js";

export interface SchedulerLimits {
  readonly maxBatchRows: number;
  readonly maxEncodeTokens: number;
}

export class Scheduler {
  readonly #limits: SchedulerLimits;
  readonly #waiting: Sequence[] = [];
  readonly #running: Sequence[] = [];
  #reservedRows = 0;

  constructor(limits: SchedulerLimits) {
    this.#limits = limits;
  }

  get waiting(): readonly Sequence[] {
    return this.#waiting;
  }

  get running(): readonly Sequence[] {
    return this.#running;
  }

  get isIdle(): boolean {
    return this.#waiting.length === 0 && this.#running.length === 0;
  }

  /** Behind those of its priority and of more urgent ones. */
  add(sequence: Sequence): void {
    const { priority } = sequence.spec;
    const before = this.#waiting.findLastIndex((other) => other.spec.priority <= priority);
    this.#waiting.splice(before + 1, 0, sequence);
  }

  /**
   * Moves sequences from the head of the queue into the batch: as many as there are rows for (a sequence reserves the most
   * rows it will ever hold) and as one padded encoder run may take. By priority, first come first served within one: a wide one is
   * never overtaken by those behind it. Running ones keep their rows whoever comes, and nobody ages: urgent ones without end starve the others.
   */
  admit(): Sequence[] {
    const admitted: Sequence[] = [];
    let longest = 0;
    for (const sequence of this.#waiting) {
      longest = Math.max(longest, sequence.spec.sourceIds.length);
      const fitsEncoder = longest * (admitted.length + 1) <= this.#limits.maxEncodeTokens;
      if (admitted.length > 0 && !fitsEncoder) break;
      if (!this.#fitsRows(sequence)) break;
      this.#reservedRows += sequence.search.maxRows;
      admitted.push(sequence);
    }
    this.#waiting.splice(0, admitted.length);
    this.#running.push(...admitted);
    return admitted;
  }

  remove(sequence: Sequence): void {
    if (removeFrom(this.#running, sequence)) this.#reservedRows -= sequence.search.maxRows;
    else removeFrom(this.#waiting, sequence);
  }

  // A sequence wider than the whole batch runs when it is alone, rather than never.
  #fitsRows(sequence: Sequence): boolean {
    return this.#reservedRows === 0 || this.#reservedRows + sequence.search.maxRows <= this.#limits.maxBatchRows;
  }
}

function removeFrom(list: Sequence[], sequence: Sequence): boolean {
  const index = list.indexOf(sequence);
  if (index !== -1) list.splice(index, 1);
  return index !== -1;
}
