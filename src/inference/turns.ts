// Whose request the main thread prepares next: models take turns, a few requests each per turn of the event loop. A burst of hundreds on one
// model would otherwise hold up, for as long as all of them take, the request of another that came just behind them.

export class Turns {
  readonly #defer: (next: () => void) => void;
  readonly #perTurn: number;
  readonly #waiting = new Map<string, (() => void)[]>();
  /** Requests that each model had in this turn. */
  readonly #served = new Map<string, number>();
  #isDue = false;

  /**
   * @param defer calls back in a later turn of the event loop
   * @param perTurn so many requests of a model: enough to keep its batch full, few enough for other models not to notice
   */
  constructor(defer: (next: () => void) => void = (next) => void setImmediate(next), perTurn = 4) {
    this.#defer = defer;
    this.#perTurn = perTurn;
  }

  /** Resolves when it is this model's turn: at once for the first few of a turn. */
  take(model: string): Promise<void> {
    this.#goOn();
    const served = this.#served.get(model) ?? 0;
    if (served < this.#perTurn) {
      this.#served.set(model, served + 1);
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
      const next = queue.splice(0, this.#perTurn);
      if (queue.length === 0) this.#waiting.delete(model);
      this.#served.set(model, next.length);
      for (const go of next) go();
    }
    if (this.#served.size > 0) this.#goOn();
  }
}
