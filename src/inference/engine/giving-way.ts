// How long an engine with much to do may let lightly loaded ones go first: as long as it has worked itself, so it keeps half of its time at least.
// Their few rows are done long before; the cores that it leaves alone are theirs, and the main thread's, at once.

/** Credit does not add up beyond this: after a long time alone, too, the next pause is short. About what a short request takes. */
const mostMs = 20;

export class Courtesy {
  #creditMs = 0;

  get hasCredit(): boolean {
    return this.#creditMs > 0;
  }

  worked(ms: number): void {
    this.#creditMs = Math.min(mostMs, this.#creditMs + ms);
  }

  waited(ms: number): void {
    this.#creditMs -= ms;
  }
}
