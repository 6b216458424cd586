// How many generations each API key has open on this node, and the bound on it (MAX_GENERATIONS_PER_KEY). Pure.
//
//   enter(owner, n) ──▶ n more are open ──leave──▶ n fewer          over the bound? AppError "rate_limited", before anything is queued
import { AppError } from "../errors.js";

export class OpenGenerations {
  readonly #limit: number | null;
  readonly #open = new Map<string, number>();

  /** @param limit null = any number */
  constructor(limit: number | null) {
    this.#limit = limit;
  }

  /** Takes places for `count` generations, all or none; gives for each the function that frees it, which may be called more than once. */
  enter(owner: string, count: number): (() => void)[] {
    if (this.#limit === null) return [];
    const open = this.of(owner);
    if (open + count > this.#limit) {
      throw new AppError(
        "rate_limited",
        `this key has ${open} generations open, at most ${this.#limit} may be (MAX_GENERATIONS_PER_KEY)`,
        { retryAfterSeconds: 1 },
      );
    }
    this.#open.set(owner, open + count);
    return Array.from({ length: count }, () => this.#place(owner));
  }

  /** Open generations of one owner; always 0 without a bound. */
  of(owner: string): number {
    return this.#open.get(owner) ?? 0;
  }

  #place(owner: string): () => void {
    let isOpen = true;
    return () => {
      if (!isOpen) return;
      isOpen = false;
      const left = this.of(owner) - 1;
      if (left > 0) this.#open.set(owner, left);
      else this.#open.delete(owner);
    };
  }
}
