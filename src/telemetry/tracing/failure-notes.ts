// Says at most once a minute that traces could not be sent, and how often since the last time. Pure: the clock is passed in.

/** `failures`: how many there were since the last note, this one included. */
export type NoteFailure = (error: Error, failures: number) => void;

const everyMs = 60_000;

export class FailureNotes {
  readonly #note: NoteFailure;
  #failures = 0;
  #notedAt = -Infinity;

  constructor(note: NoteFailure) {
    this.#note = note;
  }

  /** @param now monotonic milliseconds */
  add(error: Error | undefined, now: number): void {
    this.#failures += 1;
    if (now - this.#notedAt < everyMs) return;
    this.#note(error ?? new Error("no reason given"), this.#failures);
    this.#failures = 0;
    this.#notedAt = now;
  }
}
