// A worker's side of the token log: what all its generations produced goes out in common flushes, first to the log, then to the nodes that follow.
//
//   first token, end ─▶ end of tick ─┐
//   token token token ─▶ gather ─────┴▶ append, append … (pipelined) ──▶ replies ──▶ one message per API node
//                                              │ unknown reply: the same append again (a repeat is harmless)
//                                              │ gap: the log forgot entries; they come again out of memory
//                                              └ fenced, gone, ended: nothing of this claim is written any more
import { setImmediate as endOfTick, setTimeout as sleep } from "node:timers/promises";
import { AppError } from "../../errors.js";
import { Sleeper } from "../timers.js";
import type { AppendedTo, AppendRequest } from "./redis-token-log.js";
import { terminalOf, type Claim, type LogEntry, type LogEvent, type Refusal } from "../log/token-log.js";

export interface LogWriterOptions {
  /** Appends, and pushes to the API nodes that follow; an answer for each. If it throws, some may be in. */
  readonly flush: (requests: readonly AppendRequest[]) => Promise<readonly AppendedTo[]>;
  readonly onAppended: (seconds: number) => void;
  readonly onFenced: () => void;
  /** An append that Redis can't make sense of, whose generation is not written on; or a listener that threw. */
  readonly onFault: (id: string, error: unknown) => void;
  /** Delay before a failed flush is retried. */
  readonly retryMs: number;
  /** How long tokens after the first are collected before one append, which costs the same with one as with twenty. First tokens and ends go out at once. */
  readonly gatherMs: number;
  /** The same where nobody looks at single tokens. What is collected is what the next worker may have to decode again. */
  readonly wholeGatherMs: number;
}

type Reply = Pick<AppendedTo, "result" | "lastSeq" | "isCancelled">;

export interface TailListener {
  /** Somebody asked to stop it. */
  onCancelled(): void;
  onRefused(refusal: Refusal): void;
}

export class LogWriter {
  readonly #options: LogWriterOptions;
  readonly #unsent = new Set<LogTail>();
  /** Last flush per gather interval. */
  readonly #lastFlushAt = new Map<number, number>();
  #isFlushing = false;
  #sleepsUntil = 0;
  readonly #sleeper = new Sleeper();

  constructor(options: LogWriterOptions) {
    this.#options = options;
  }

  /** The end of a claimed log, to write on. Close it whatever happens. */
  open(claim: Claim, listener: TailListener): LogTail {
    const { gatherMs, wholeGatherMs } = this.#options;
    const ownMs = claim.record.prepared.readsWhole === true ? wholeGatherMs : gatherMs;
    return new LogTail(claim, listener, ownMs, (tail) => this.#wake(tail));
  }

  #wake(tail: LogTail): void {
    this.#unsent.add(tail);
    if (!this.#isFlushing) void this.#flushAll();
    else if (tail.isUrgent || this.#dueAt(tail) < this.#sleepsUntil) this.#sleeper.wake();
  }

  async #flushAll(): Promise<void> {
    this.#isFlushing = true;
    try {
      while (this.#unsent.size > 0) await this.#flushOnce();
    } finally {
      // In the same moment as the check above: whoever wakes later begins anew.
      this.#isFlushing = false;
    }
  }

  async #flushOnce(): Promise<void> {
    // All events of an engine step arrive in one tick of the event loop.
    await endOfTick();
    const tails = this.#takeDue();
    if (tails.length === 0) return this.#sleepUntil(Math.min(...[...this.#unsent].map((tail) => this.#dueAt(tail))));
    const failed = await this.#flush(tails);
    if (failed.length > 0) await sleep(this.#options.retryMs);
    for (const tail of failed) this.#unsent.add(tail);
  }

  /** Takes them off the unsent ones. */
  #takeDue(): LogTail[] {
    const now = performance.now();
    const gathered = [...this.#unsent].filter((tail) => this.#dueAt(tail) <= now);
    for (const { gatherMs } of gathered) this.#lastFlushAt.set(gatherMs, now);
    const due = new Set([...gathered, ...[...this.#unsent].filter((tail) => !tail.isOpen || tail.isUrgent)]);
    for (const tail of due) this.#unsent.delete(tail);
    return [...due].filter(({ isOpen }) => isOpen);
  }

  #dueAt({ gatherMs }: LogTail): number {
    return (this.#lastFlushAt.get(gatherMs) ?? -Infinity) + gatherMs;
  }

  #sleepUntil(until: number): Promise<void> {
    this.#sleepsUntil = until;
    return this.#sleeper.sleep(until - performance.now());
  }

  /** Those whose entries may or may not be in the log. */
  async #flush(tails: readonly LogTail[]): Promise<readonly LogTail[]> {
    const { flush, onAppended, onFenced } = this.#options;
    const started = performance.now();
    let replies: readonly AppendedTo[];
    try {
      replies = await flush(tails.map((tail) => tail.request()));
    } catch (error) {
      if (!(error instanceof AppError)) await this.#findFault(tails);
      return tails;
    } finally {
      onAppended((performance.now() - started) / 1000);
    }
    for (const [i, tail] of tails.entries()) {
      const reply = replies[i];
      if (reply?.result === "fenced") onFenced();
      if (reply !== undefined) this.#deliver(tail, reply);
    }
    return [];
  }

  /** A listener that throws must not keep the others from their replies. */
  #deliver(tail: LogTail, reply: Reply): void {
    try {
      tail.receive(reply);
    } catch (error) {
      this.#options.onFault(tail.id, error);
    }
  }

  // One at a time, so that only the generation at fault ends.
  async #findFault(tails: readonly LogTail[]): Promise<void> {
    for (const tail of tails) {
      try {
        await this.#options.flush([tail.request()]);
      } catch (error) {
        if (error instanceof AppError) continue;
        this.#options.onFault(tail.id, error);
        this.#deliver(tail, { result: "gone", lastSeq: 0, isCancelled: false });
      }
    }
  }
}

export class LogTail {
  readonly id: string;
  readonly gatherMs: number;
  readonly #writer: string;
  readonly #listener: TailListener;
  readonly #wake: (tail: LogTail) => void;
  /** The whole log, as Redis may forget its end. */
  readonly #entries: LogEntry[];
  readonly #onWritten: (() => void)[] = [];
  #lastSeq: number;
  #isOpen = true;

  constructor(claim: Claim, listener: TailListener, gatherMs: number, wake: (tail: LogTail) => void) {
    this.id = claim.record.id;
    this.gatherMs = gatherMs;
    this.#writer = claim.writer;
    this.#entries = [...claim.entries];
    this.#lastSeq = this.#entries.length;
    this.#listener = listener;
    this.#wake = wake;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Somebody waits for it: for its first token, its end, or for all of it to be written. */
  get isUrgent(): boolean {
    const last = this.#entries.at(-1);
    return this.#lastSeq === 0 || this.#onWritten.length > 0 || (last !== undefined && terminalOf(last) !== null);
  }

  append(event: LogEvent): void {
    if (!this.#isOpen) return;
    this.#entries.push({ seq: this.#entries.length + 1, event });
    this.#wake(this);
  }

  /** Resolves when everything appended is in the log, or nothing more will be. */
  async written(): Promise<void> {
    if (!this.#isOpen || this.#lastSeq >= this.#entries.length) return;
    await new Promise<void>((resolve) => {
      this.#onWritten.push(resolve);
      this.#wake(this);
    });
  }

  /** Nothing is sent any more. */
  close(): void {
    this.#isOpen = false;
    this.#settle();
  }

  /** What is not known to be in the log. */
  request(): AppendRequest {
    return { id: this.id, writer: this.#writer, entries: this.#entries.slice(this.#lastSeq) };
  }

  /** What became of the request that was sent last. */
  receive({ result, lastSeq, isCancelled }: Reply): void {
    if (!this.#isOpen) return;
    if (result === "ok" || result === "gap") {
      this.#lastSeq = Math.min(lastSeq, this.#entries.length);
      if (this.#lastSeq < this.#entries.length) this.#wake(this);
      else this.#settle();
      if (isCancelled) this.#listener.onCancelled();
      return;
    }
    this.close();
    this.#listener.onRefused(result);
  }

  #settle(): void {
    for (const resolve of this.#onWritten.splice(0)) resolve();
  }
}
