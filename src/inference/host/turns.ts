// Whose request the main thread prepares next: models take turns, one request each per turn of the event loop. A burst of hundreds on one
// model would otherwise hold up, for as long as all of them take, the request of another that came just behind them.

export class Turns {
  readonly #defer: (next: () => void) => void;
  readonly #waiting = new Map<string, (() => void)[]>();
  /** Models that had their request in this turn. */
  readonly #served = new Set<string>();
  #isDue = false;

  /** @param defer calls back in a later turn of the event loop */
  constructor(defer: (next: () => void) => void = (next) => void setImmediate(next)) {
    this.#defer = defer;
  }

  /** Resolves when it is this model's turn: at once for the first one of a turn. */
  take(model: string): Promise<void> {
    this.#goOn();
    if (!this.#served.has(model)) {
      this.#served.add(model);
      return Promise.resolve();
    }
    return new Promise((resolve) => {
      const queue = this.#waiting.get(model) ?? [];
      queue.push(resolve);
      this.#waiting.set(model, queue);
    });
  }

  #goOn(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    this.#defer(() => this.#turn());
  }

  #turn(): void {
    this.#isDue = false;
    this.#served.clear();
    for (const [model, queue] of this.#waiting) {
      const go = queue.shift();
      if (queue.length === 0) this.#waiting.delete(model);
      this.#served.add(model);
      go?.();
    }
    if (this.#served.size > 0) this.#goOn();
  }
}
