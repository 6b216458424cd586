// Which sequences run in the next step. Pure policy: no clock, no tensors, no promises.
//
//   add ─▶ waiting ──admit──▶ running ──remove──▶ gone
import type { Sequence } from "./sequence.js";

export interface SchedulerLimits {
  readonly maxBatchRows: number;
  readonly maxEncodeTokens: number;
}

/**
 * When the batch is at least half full, new sources wait up to `steps` steps to be encoded together: until there is one for every `runningEach`
 * running sequences, or `most`.
 */
const hold = { runningEach: 4, most: 8, steps: 2 } as const;

/** Resumed sequences may take up to this many steps in a row alone, to catch up with what the previous worker had produced. */
const maxCatchUpSteps = 8;

export class Scheduler {
  readonly #limits: SchedulerLimits;
  readonly #waiting: Sequence[] = [];
  readonly #running: Sequence[] = [];
  #reservedRows = 0;
  /** Steps that the sources at the head of the queue have been held. */
  #heldSteps = 0;
  /** Steps in a row that only resumed sequences took. */
  #catchUpSteps = 0;

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
   * never overtaken by those behind it. Running ones keep their rows whoever comes. Priority does not grow with waiting: an endless run of
   * urgent sequences starves the others. Called once a step; while the batch is well filled, few sources are held for a step or two.
   */
  admit(): Sequence[] {
    const { admissible, isFull } = this.#admissible();
    if (!isFull && this.#holdForBatch(admissible.length)) return [];
    this.#heldSteps = 0;
    for (const sequence of admissible) this.#reservedRows += sequence.search.maxRows;
    this.#waiting.splice(0, admissible.length);
    this.#running.push(...admissible);
    return admissible;
  }

  /**
   * The sequences of the next step: all that run. But the reader of a resumed sequence waits in the middle of its text, so resumed ones step by
   * themselves while they catch up (a few rows step faster than a full batch), with a step of all in between.
   */
  next(): readonly Sequence[] {
    const resumed = this.#running.filter(({ isCatchingUp }) => isCatchingUp);
    const isMixed = resumed.length > 0 && resumed.length < this.#running.length;
    const stepsResumedOnly = isMixed && this.#catchUpSteps < maxCatchUpSteps;
    this.#catchUpSteps = stepsResumedOnly ? this.#catchUpSteps + 1 : 0;
    return stepsResumedOnly ? resumed : [...this.#running];
  }

  remove(sequence: Sequence): void {
    if (removeFrom(this.#running, sequence)) this.#reservedRows -= sequence.search.maxRows;
    else removeFrom(this.#waiting, sequence);
  }

  /** `isFull`: one encoder run takes no more. */
  #admissible(): { admissible: Sequence[]; isFull: boolean } {
    const admissible: Sequence[] = [];
    let longest = 0;
    let reserved = this.#reservedRows;
    for (const sequence of this.#waiting) {
      longest = Math.max(longest, sequence.spec.sourceIds.length);
      const fitsEncoder = longest * (admissible.length + 1) <= this.#limits.maxEncodeTokens;
      if (admissible.length > 0 && !fitsEncoder) return { admissible, isFull: true };
      // A sequence wider than the whole batch runs when it is alone, rather than never.
      if (reserved > 0 && reserved + sequence.search.maxRows > this.#limits.maxBatchRows) break;
      reserved += sequence.search.maxRows;
      admissible.push(sequence);
    }
    return { admissible, isFull: false };
  }

  // An encoder run of one source costs half of what a run of four does; a few idle rows of a step cost next to nothing.
  #holdForBatch(count: number): boolean {
    const wanted = Math.min(Math.floor(this.#running.length / hold.runningEach), hold.most);
    const isHalfFull = this.#reservedRows * 2 >= this.#limits.maxBatchRows;
    if (!isHalfFull || count === 0 || count >= wanted || this.#heldSteps === hold.steps) return false;
    this.#heldSteps += 1;
    return true;
  }
}

function removeFrom(list: Sequence[], sequence: Sequence): boolean {
  const index = list.indexOf(sequence);
  if (index !== -1) list.splice(index, 1);
  return index !== -1;
}
