// Whose request the main thread prepares next: one of each model per tick of the event loop. A burst of hundreds for one model would otherwise
// hold up the request of another that came just behind it, until all of the burst are prepared.

export class FairQueue {
  readonly #defer: (next: () => void) => void;
  /** By model. */
  readonly #waiting = new Map<string, (() => void)[]>();
  /** Models that had their request in this tick. */
  readonly #served = new Set<string>();
  #isTickDue = false;

  /** @param defer calls back in a later tick */
  constructor(defer: (next: () => void) => void = (next) => void setImmediate(next)) {
    this.#defer = defer;
  }

  /** Resolves when this model may have its next request: at once for its first one in a tick. */
  enter(model: string): Promise<void> {
    this.#scheduleTick();
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

  #scheduleTick(): void {
    if (this.#isTickDue) return;
    this.#isTickDue = true;
    this.#defer(() => this.#startTick());
  }

  #startTick(): void {
    this.#isTickDue = false;
    this.#served.clear();
    for (const [model, queue] of this.#waiting) {
      const letIn = queue.shift();
      if (queue.length === 0) this.#waiting.delete(model);
      this.#served.add(model);
      letIn?.();
    }
    if (this.#served.size > 0) this.#scheduleTick();
  }
}
