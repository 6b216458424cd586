// One pick-up of a job on a worker: claims its log, goes on where the log ends, and writes one terminal event, unless somebody else is to.
//
//   claim ──▶ continue ──tokens──▶ log writer ──▶ end or failure ──▶ "settled"
//     │          └─ stop("cancelled") ▶ failure "cancelled"   stop("lost") ▶ silence   stop("handover") ▶ flush, "handover"
//     └ ended, fenced, gone ▶ "settled"     other variant ▶ "elsewhere"
import { setTimeout as sleep } from "node:timers/promises";
import { AppError } from "../../errors.js";
import type { GenerationEvent, Prepared, TokenEvent, TraceHeaders } from "../../generation.js";
import type { LogTail, LogWriter } from "../redis/log-writer.js";
import type { Claim, FailureEvent, GenerationRecord, LogEntry, Refusal, TokenLog } from "../log/token-log.js";
import { cancelledFailure } from "../log/token-log.js";

/** Goes on behind the tokens that are logged already; Generate with a past. */
export type Continue = (
  prepared: Prepared,
  logged: readonly TokenEvent[],
  signal: AbortSignal,
) => AsyncIterable<GenerationEvent>;

/** cancelled: asked for by the client. lost: another worker has it, or will. handover: this worker is going. */
export type StopReason = "cancelled" | "lost" | "handover";

/** settled: nothing left to do. handover, elsewhere: it goes back to the queue, at once or after a while. */
export type RunEnd = "settled" | "handover" | "elsewhere";

export interface JobRunOptions {
  readonly id: string;
  /** Counts pick-ups; the higher one fences the lower. */
  readonly attempt: number;
  readonly worker: string;
  /** What may differ between workers and changes tokens: a log begun by one variant is not continued by another. */
  readonly variant: string;
  readonly log: TokenLog;
  readonly writer: LogWriter;
  readonly continueRun: Continue;
  /** Its log has its terminal event; null: since before this run. */
  readonly onEnded: (id: string, record: GenerationRecord | null) => Promise<void>;
  /** An error that is nobody's answer. */
  readonly onSurprise: (error: unknown) => void;
  /** Delay before a claim is tried again while the log can't be reached. */
  readonly retryMs: number;
  /** This run's span, where it is traced here. */
  readonly trace?: TraceHeaders | undefined;
}

class Stopped extends Error {
  readonly reason: StopReason;
  constructor(reason: StopReason) {
    super(reason);
    this.reason = reason;
  }
}

export class JobRun {
  readonly #options: JobRunOptions;
  readonly #abort = new AbortController();
  readonly #lost: Promise<void>;
  #lose = (): void => undefined;
  #stopped: StopReason | null = null;

  constructor(options: JobRunOptions) {
    this.#options = options;
    this.#lost = new Promise((resolve) => (this.#lose = resolve));
  }

  /** The first reason counts, except that a lost job is lost in any case. */
  stop(reason: StopReason): void {
    if (this.#stopped === null || reason === "lost") this.#stopped = reason;
    this.#abort.abort(new Stopped(reason));
    if (reason === "lost") this.#lose();
  }

  async run(): Promise<RunEnd> {
    const claim = await this.#claim();
    if (claim === "handover") return "handover";
    if (claim === "ended") await this.#options.onEnded(this.#options.id, null);
    if (typeof claim === "string") return "settled";
    if (!this.#continues(claim)) return "elsewhere";
    const tail = this.#options.writer.open(claim, {
      onCancelled: () => this.stop("cancelled"),
      onRefused: () => this.stop("lost"),
    });
    try {
      if (claim.isCancelled) this.stop("cancelled");
      return await this.#generate(claim, tail);
    } finally {
      tail.close();
    }
  }

  get #isLost(): boolean {
    return this.#stopped === "lost";
  }

  // A lost log server is waited for: only the lock's loss, or a hand-over, ends that.
  async #claim(): Promise<Claim | Refusal | "handover"> {
    const { log, id, attempt, worker, variant, retryMs } = this.#options;
    while (this.#stopped === null) {
      try {
        return await log.claim(id, attempt, worker, variant);
      } catch (error) {
        if (!isAway(error)) throw error;
        await sleep(retryMs, undefined, { signal: this.#abort.signal }).catch(() => undefined);
      }
    }
    return this.#stopped === "handover" ? "handover" : "gone";
  }

  // Another variant would choose other tokens behind those that the client has.
  #continues({ variant, isCancelled }: Claim): boolean {
    return variant === this.#options.variant || isCancelled;
  }

  async #generate(claim: Claim, tail: LogTail): Promise<RunEnd> {
    const ending = await this.#tokens(claim, tail);
    if (this.#isLost) return "settled";
    if (typeof ending !== "string") tail.append(ending);
    await Promise.race([tail.written(), this.#lost]);
    if (ending === "open") return "handover";
    if (ending === "elsewhere") return "elsewhere";
    if (!this.#isLost) await this.#options.onEnded(claim.record.id, claim.record);
    return "settled";
  }

  /** The failure that is to end the log, or: it has its end; it stays open for another worker, to take at once or after a while. */
  async #tokens({ record, entries }: Claim, tail: LogTail): Promise<FailureEvent | "ended" | "open" | "elsewhere"> {
    const { continueRun, trace } = this.#options;
    const prepared = trace === undefined ? record.prepared : { ...record.prepared, trace };
    let hasEnded = false;
    try {
      for await (const event of continueRun(prepared, entries.flatMap(tokenOf), this.#abort.signal)) {
        if (event.type === "accepted") continue;
        hasEnded = event.type === "end";
        tail.append(event);
      }
      if (hasEnded) return "ended";
      throw new Error("the generation ended without a result");
    } catch (error) {
      return hasEnded ? "ended" : this.#endingOf(error);
    }
  }

  #endingOf(error: unknown): FailureEvent | "open" | "elsewhere" {
    if (this.#stopped !== null) return this.#stopped === "cancelled" ? cancelledFailure : "open";
    if (isAway(error)) return "elsewhere";
    if (error instanceof AppError) return { type: "failure", kind: error.kind, message: error.message };
    this.#options.onSurprise(error);
    return { type: "failure", kind: "internal", message: "internal error" };
  }
}

function tokenOf({ event }: LogEntry): TokenEvent[] {
  return event.type === "token" ? [event] : [];
}

function isAway(error: unknown): boolean {
  return error instanceof AppError && error.kind === "unavailable";
}
