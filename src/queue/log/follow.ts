// Follows one log after any seq to its end: pushes as they come, readings where they leave holes or fall silent. Survives that the log is away for a while.
//
//   watch first ──▶ read ──▶ pass on ──▶ wait: a push, or pollMs of silence ──▶ hole or silence: read ──▶ …        terminal: done
//                  └ but not a new log: nothing was there before the watch
import { AppError } from "../../errors.js";
import { Sleeper } from "../timers.js";
import { Frontier } from "./frontier.js";
import type { LogEntry, TokenLog } from "./token-log.js";
import type { Watch } from "./watchers.js";

export interface FollowOptions {
  /** Silence after which the log is read, in case a push was lost; four times as long while a new log has no entries. */
  readonly pollMs?: number;
  /** How long the log may be away before followers give up. */
  readonly unreachableMs?: number;
  /** Milliseconds, monotonic. */
  readonly now?: () => number;
}

const usualPollMs = 1500;
/** Until it begins, what was started here is silent because it waits in the queue: it is read more seldom by this factor. */
const newLogPollFactor = 4;
const usualUnreachableMs = 30_000;

/**
 * Yields entries after `after`, the terminal one last. Throws AppError "not_found", "gone" (expired), "log_lost", "unavailable" (for longer than
 * unreachableMs), or the signal's reason. Leaving early changes nothing for the generation.
 */
export function follow(
  log: Pick<TokenLog, "read">,
  watch: Watch,
  id: string,
  after: number,
  signal: AbortSignal,
  options: FollowOptions = {},
): AsyncGenerator<LogEntry, void, void> {
  return new LogFollower(log, watch, id, new Frontier(after), options).entries(signal);
}

/** For a log that is yet to be created: what is pushed from now on is all there is, so nothing is read. Close it if it is not iterated. */
export function followNew(
  log: Pick<TokenLog, "read">,
  watch: Watch,
  id: string,
  options: FollowOptions = {},
): NewFollower {
  const following = new LogFollower(log, watch, id, Frontier.ofNew(), options);
  following.listen();
  return following;
}

export interface NewFollower {
  /** As follow from 0; once. */
  entries(signal: AbortSignal): AsyncGenerator<LogEntry, void, void>;
  close(): void;
}

class LogFollower implements NewFollower {
  readonly #log: Pick<TokenLog, "read">;
  readonly #watch: Watch;
  readonly #id: string;
  readonly #frontier: Frontier;
  readonly #pollMs: number;
  #silenceMs: number;
  readonly #unreachableMs: number;
  readonly #now: () => number;
  /** At the start, after silence, for holes, and when something may have been missed. */
  #isDue: boolean;
  #hasNews = false;
  #suspicions = 0;
  #unreachableSince: number | null = null;
  #contradiction: unknown = null;
  #unwatch: (() => void) | null = null;
  readonly #sleeper = new Sleeper();

  constructor(log: Pick<TokenLog, "read">, watch: Watch, id: string, frontier: Frontier, options: FollowOptions) {
    this.#log = log;
    this.#watch = watch;
    this.#id = id;
    this.#frontier = frontier;
    this.#isDue = !frontier.isKnown;
    this.#pollMs = options.pollMs ?? usualPollMs;
    this.#silenceMs = frontier.isKnown ? this.#pollMs * newLogPollFactor : this.#pollMs;
    this.#unreachableMs = options.unreachableMs ?? usualUnreachableMs;
    this.#now = options.now ?? (() => performance.now());
  }

  async *entries(signal: AbortSignal): AsyncGenerator<LogEntry, void, void> {
    signal.throwIfAborted();
    this.listen();
    signal.addEventListener("abort", this.#wake);
    try {
      for (;;) {
        await this.#readIfDue();
        yield* this.#take();
        if (this.#frontier.isOver) return;
        await this.#waitForNews();
        signal.throwIfAborted();
      }
    } finally {
      signal.removeEventListener("abort", this.#wake);
      this.close();
    }
  }

  listen(): void {
    this.#unwatch ??= this.#watch(this.#id, this.#onEntries);
  }

  close(): void {
    this.#unwatch?.();
  }

  // Called in the middle of somebody else's append: it must not throw there.
  readonly #onEntries = (entries: readonly LogEntry[]): void => {
    if (entries.length === 0) this.#suspect();
    try {
      this.#frontier.offer(entries);
    } catch (error) {
      this.#contradiction ??= error;
    }
    if (this.#frontier.hasHole) this.#isDue = true;
    this.#wake();
  };

  readonly #wake = (): void => {
    this.#hasNews = true;
    this.#sleeper.wake();
  };

  #take(): LogEntry[] {
    if (this.#contradiction !== null) throw this.#contradiction;
    const taken = this.#frontier.take();
    if (taken.length > 0) this.#silenceMs = this.#pollMs;
    return taken;
  }

  async #readIfDue(): Promise<void> {
    if (!this.#isDue) return;
    this.#isDue = false;
    const suspicions = this.#suspicions;
    try {
      const reading = await this.#log.read(this.#id, this.#frontier.readAfter);
      this.#unreachableSince = null;
      // What became suspect meanwhile has to be read again, from the start.
      if (suspicions === this.#suspicions) this.#frontier.accept(reading);
    } catch (error) {
      this.#endure(error);
    }
  }

  async #waitForNews(): Promise<void> {
    if (!this.#hasNews) await this.#sleeper.sleep(this.#silenceMs);
    if (!this.#hasNews) this.#isDue = true;
    this.#hasNews = false;
  }

  /** Throws what won't pass by waiting. A log that was away may come back shorter. */
  #endure(error: unknown): void {
    if (!(error instanceof AppError) || error.kind !== "unavailable") throw error;
    const now = this.#now();
    this.#unreachableSince ??= now;
    if (now - this.#unreachableSince >= this.#unreachableMs) throw error;
    this.#suspect();
  }

  #suspect(): void {
    this.#suspicions += 1;
    this.#frontier.suspect();
    this.#isDue = true;
  }
}
