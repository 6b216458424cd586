// A queue between a producer that never waits and one consumer that may: it turns engine messages into an async iterator.

/** push* → end or fail, once. Values pushed after the end are dropped. */
export class EventChannel<T> implements AsyncIterable<T> {
  #values: T[] = [];
  #error: Error | null = null;
  #ended = false;
  #wake: (() => void) | null = null;

  push(value: T): void {
    if (this.#ended) return;
    this.#values.push(value);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  fail(error: Error): void {
    if (!this.#ended) this.#error = error;
    this.end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, void> {
    for (;;) {
      const values = this.#values;
      this.#values = [];
      yield* values;
      if (this.#values.length > 0) continue;
      if (this.#error !== null) throw this.#error;
      if (this.#ended) return;
      await new Promise<void>((resolve) => (this.#wake = resolve));
      this.#wake = null;
    }
  }
}
