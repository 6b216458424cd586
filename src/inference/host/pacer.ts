// Spreads what one engine message brings over several ticks of the event loop. A message port gives out all that it holds at once: several steps
// of a full batch, which would hold up what other models sent meanwhile. What waits for one receiver goes on together: one write instead of several.

export interface PacerOptions<T> {
  readonly handOn: (receiver: number, value: T) => void;
  readonly sizeOf: (value: T) => number;
  /** Handed on in one tick at most, or one receiver's values where they are larger. Of these only the largest counts. */
  readonly sizePerTick: number;
  /** Calls back in a later tick. */
  readonly defer?: (next: () => void) => void;
}

export class Pacer<T> {
  readonly #options: Required<PacerOptions<T>>;
  /** By receiver, in the order in which their first values came. */
  readonly #waiting = new Map<number, T[]>();
  /** Handed on in this tick; null: nothing yet. */
  #sizeThisTick: number | null = null;

  constructor(options: PacerOptions<T>) {
    this.#options = { defer: (next) => void setImmediate(next), ...options };
  }

  /** Hands it on at once when nothing waits and this tick has room for it. */
  push(receiver: number, value: T): void {
    const values = this.#waiting.get(receiver);
    if (values !== undefined) values.push(value);
    else if (this.#waiting.size === 0 && this.#fits([value])) this.#handOn(receiver, [value]);
    else this.#waiting.set(receiver, [value]);
  }

  /** Hands on all that waits. */
  flush(): void {
    for (const [receiver, values] of this.#waiting) for (const value of values) this.#options.handOn(receiver, value);
    this.#waiting.clear();
  }

  #fits(values: readonly T[]): boolean {
    return this.#sizeThisTick === null || this.#sizeThisTick + this.#sizeOf(values) <= this.#options.sizePerTick;
  }

  #handOn(receiver: number, values: readonly T[]): void {
    if (this.#sizeThisTick === null) this.#options.defer(() => this.#startTick());
    this.#sizeThisTick = (this.#sizeThisTick ?? 0) + this.#sizeOf(values);
    for (const value of values) this.#options.handOn(receiver, value);
  }

  #sizeOf(values: readonly T[]): number {
    return Math.max(...values.map((value) => this.#options.sizeOf(value)));
  }

  #startTick(): void {
    this.#sizeThisTick = null;
    for (const [receiver, values] of this.#waiting) {
      if (!this.#fits(values)) return;
      this.#waiting.delete(receiver);
      this.#handOn(receiver, values);
    }
  }
}
