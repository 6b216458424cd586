// Hands on what arrives in portions, one a turn of the event loop. A message port gives out all that it holds in one go: several steps of a
// full batch, which would hold up what other models sent meanwhile. What waits for the same receiver goes on together: one write instead of several.

export interface PortionsOptions<T> {
  readonly take: (receiver: number, value: T) => void;
  readonly sizeOf: (value: T) => number;
  /** A portion is at most so large, or one receiver's. Of what one receiver gets in a turn only the largest value counts. */
  readonly portion: number;
  /** Calls back in a later turn of the event loop. */
  readonly defer?: (next: () => void) => void;
}

export class Portions<T> {
  readonly #options: Required<PortionsOptions<T>>;
  /** By receiver, in the order in which their first values came. */
  readonly #waiting = new Map<number, T[]>();
  /** Size handed on in this turn; null: nothing yet. */
  #taken: number | null = null;

  constructor(options: PortionsOptions<T>) {
    this.#options = { defer: (next) => void setImmediate(next), ...options };
  }

  /** Hands it on at once when nothing waits and this turn's portion has room for it. */
  push(receiver: number, value: T): void {
    const values = this.#waiting.get(receiver);
    if (values !== undefined) values.push(value);
    else if (this.#waiting.size === 0 && this.#fits([value])) this.#handOn(receiver, [value]);
    else this.#waiting.set(receiver, [value]);
  }

  /** Hands on all that waits. */
  flush(): void {
    for (const [receiver, values] of this.#waiting) for (const value of values) this.#options.take(receiver, value);
    this.#waiting.clear();
  }

  #fits(values: readonly T[]): boolean {
    return this.#taken === null || this.#taken + this.#sizeOf(values) <= this.#options.portion;
  }

  #handOn(receiver: number, values: readonly T[]): void {
    if (this.#taken === null) this.#options.defer(() => this.#turn());
    this.#taken = (this.#taken ?? 0) + this.#sizeOf(values);
    for (const value of values) this.#options.take(receiver, value);
  }

  #sizeOf(values: readonly T[]): number {
    return Math.max(...values.map((value) => this.#options.sizeOf(value)));
  }

  #turn(): void {
    this.#taken = null;
    for (const [receiver, values] of this.#waiting) {
      if (!this.#fits(values)) return;
      this.#waiting.delete(receiver);
      this.#handOn(receiver, values);
    }
  }
}
