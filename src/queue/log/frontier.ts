// Merges pushed and read entries of one log into one ordered sequence without duplicates; throws if they contradict. Pure.
//
//   passed on … lastSeq │ lastSeq + 1 … (held until the hole is filled)
//        ▲ trustedSeq: the log has been seen to hold the same up to here; lower after the log got shorter, or may have
import { AppError } from "../../errors.js";
import { terminalOf, type LogEntry, type Reading } from "./token-log.js";

export class Frontier {
  readonly #after: number;
  /** What was passed on, by which it is recognised: its first has seq after + 1. */
  readonly #passed: string[] = [];
  readonly #held = new Map<number, LogEntry>();
  #trustedSeq: number;
  #isKnown = false;
  #isOver = false;

  /** @param after the seq of the last entry that the reader has already */
  constructor(after: number) {
    this.#after = after;
    this.#trustedSeq = after;
  }

  /** For a log that this process creates: it is known to be there, with nothing in it. */
  static ofNew(): Frontier {
    const frontier = new Frontier(0);
    frontier.#isKnown = true;
    return frontier;
  }

  /** It was there once: what is missing now was lost. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  /** The terminal entry was passed on, or there will be no other one. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Entries wait for one that is missing or in doubt: only a reading can bring it. */
  get hasHole(): boolean {
    return this.#held.size > 0 && this.#next() === undefined;
  }

  /** The `after` of the next reading. */
  get readAfter(): number {
    return this.#trustedSeq;
  }

  get #lastSeq(): number {
    return this.#after + this.#passed.length;
  }

  /** The log may have been rewritten meanwhile: believe nothing that was only pushed, compare all that was passed on. */
  suspect(): void {
    this.#held.clear();
    this.#trustedSeq = this.#after;
  }

  /** Throws AppError "log_lost" for an entry that contradicts what was passed on. */
  offer(entries: readonly LogEntry[]): void {
    for (const entry of entries) this.#offer(entry);
  }

  /** Throws AppError "not_found", "gone" or "log_lost". */
  accept(reading: Reading): void {
    this.#checkThere(reading);
    this.#checkLength(reading);
    this.#isKnown = true;
    this.#trustedSeq = Math.min(this.#trustedSeq, Math.max(reading.lastSeq, this.#after));
    this.offer(reading.entries);
    if (reading.state === "ended" && reading.lastSeq === this.#lastSeq) this.#isOver = true;
  }

  /** What can be passed on now, in order. */
  take(): LogEntry[] {
    const taken: LogEntry[] = [];
    for (let entry = this.#next(); entry !== undefined; entry = this.#next()) {
      taken.push(entry);
      this.#pass(entry);
    }
    return taken;
  }

  #checkThere({ state }: Reading): void {
    if (state === "gone") throw this.#isKnown ? logLost() : new AppError("not_found", "no such generation");
    if (state === "expired") throw new AppError("gone", "the generation's events are not kept any longer");
  }

  // One that got shorter may grow again, as long as somebody may write to it.
  #checkLength({ entries, state, lastSeq }: Reading): void {
    if (lastSeq > this.#trustedSeq && entries.at(-1)?.seq !== lastSeq) throw logLost();
    if (lastSeq < this.#lastSeq && (!this.#isKnown || state === "ended")) throw logLost();
  }

  #next(): LogEntry | undefined {
    return this.#isOver || this.#trustedSeq < this.#lastSeq ? undefined : this.#held.get(this.#lastSeq + 1);
  }

  #pass(entry: LogEntry): void {
    this.#held.delete(entry.seq);
    this.#passed.push(identityOf(entry));
    this.#trustedSeq = entry.seq;
    if (terminalOf(entry) !== null) this.#isOver = true;
  }

  #offer(entry: LogEntry): void {
    if (entry.seq > this.#lastSeq) this.#held.set(entry.seq, entry);
    else if (entry.seq > this.#after) this.#compare(entry);
  }

  #compare(entry: LogEntry): void {
    if (this.#passed[entry.seq - this.#after - 1] !== identityOf(entry)) throw logLost();
    if (entry.seq === this.#trustedSeq + 1) this.#trustedSeq = entry.seq;
  }
}

function identityOf({ event }: LogEntry): string {
  return event.type === "token" ? `${event.index}:${event.id}` : event.type;
}

function logLost(): AppError {
  return new AppError("log_lost", "the log of this generation lost events that were sent already: start it again");
}
