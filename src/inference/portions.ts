// Hands on what arrives in portions, one a turn of the event loop. A message port gives out all that it holds in one go: several steps of a
// full batch, which would hold up what other models sent meanwhile.

export interface PortionsOptions<T> {
  readonly take: (value: T) => void;
  readonly sizeOf: (value: T) => number;
  /** A portion is at most so large, or one value. */
  readonly portion: number;
  /** Calls back in a later turn of the event loop. */
  readonly defer?: (next: () => void) => void;
}

export class Portions<T> {
  readonly #options: Required<PortionsOptions<T>>;
  readonly #waiting: T[] = [];
  /** Sizes handed on in this turn; null: nothing yet. */
  #taken: number | null = null;

  constructor(options: PortionsOptions<T>) {
    this.#options = { defer: (next) => void setImmediate(next), ...options };
  }

  /** Hands it on at once when this turn's portion has room for it. */
  push(value: T): void {
    if (this.#waiting.length === 0 && this.#fits(value)) this.#handOn(value);
    else this.#waiting.push(value);
  }

  /** Hands on all that waits. */
  flush(): void {
    for (const value of this.#waiting.splice(0)) this.#options.take(value);
  }

  #fits(value: T): boolean {
    return this.#taken === null || this.#taken + this.#options.sizeOf(value) <= this.#options.portion;
  }

  #handOn(value: T): void {
    if (this.#taken === null) this.#options.defer(() => this.#turn());
    this.#taken = (this.#taken ?? 0) + this.#options.sizeOf(value);
    this.#options.take(value);
  }

  #turn(): void {
    this.#taken = null;
    for (let next = this.#waiting[0]; next !== undefined && this.#fits(next); next = this.#waiting[0]) {
      this.#waiting.shift();
      this.#handOn(next);
    }
  }
}
