// A map that forgets: every value lives equally long, and the oldest goes first when there are too many. The clock is passed in.
//
//   set ──▶ newest … oldest ──ttlMs or too many──▶ onForgotten

export interface ExpiringMapOptions<V> {
  readonly ttlMs: number;
  readonly maxSize: number;
  /** Milliseconds. */
  readonly now: () => number;
  readonly onForgotten?: (key: string, value: V) => void;
}

// setTimeout takes no more than 2^31 - 1.
const longestTimerMs = 2_000_000_000;

export class ExpiringMap<V> {
  readonly #options: ExpiringMapOptions<V>;
  /** In order of their end, as all live equally long. */
  readonly #kept = new Map<string, { readonly value: V; readonly until: number }>();
  #timer: NodeJS.Timeout | null = null;

  constructor(options: ExpiringMapOptions<V>) {
    this.#options = options;
  }

  get size(): number {
    this.#sweep();
    return this.#kept.size;
  }

  get(key: string): V | undefined {
    this.#sweep();
    return this.#kept.get(key)?.value;
  }

  set(key: string, value: V): void {
    this.#sweep();
    this.#kept.delete(key);
    this.#kept.set(key, { value, until: this.#options.now() + this.#options.ttlMs });
    if (this.#kept.size > this.#options.maxSize) this.forgetOldest();
    this.#arm();
  }

  /** Takes it out without onForgotten. */
  delete(key: string): void {
    this.#kept.delete(key);
  }

  values(): V[] {
    this.#sweep();
    return [...this.#kept.values()].map(({ value }) => value);
  }

  forgetOldest(): void {
    for (const [key, { value }] of this.#kept) {
      this.#kept.delete(key);
      this.#options.onForgotten?.(key, value);
      return;
    }
  }

  #sweep(): void {
    const now = this.#options.now();
    while (this.#nextEnd() <= now) this.forgetOldest();
  }

  #nextEnd(): number {
    for (const { until } of this.#kept.values()) return until;
    return Infinity;
  }

  // Only frees memory of what nobody asks for: asking sweeps by itself. Never keeps the process up.
  #arm(): void {
    if (this.#timer !== null || this.#kept.size === 0) return;
    const waitMs = Math.min(Math.max(this.#nextEnd() - this.#options.now(), 1), longestTimerMs);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#sweep();
      this.#arm();
    }, waitMs).unref();
  }
}
