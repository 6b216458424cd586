// What a worker holds: jobs it has fetched, the rows each takes, and the runs of those that have begun.
import { setTimeout as sleep } from "node:timers/promises";
import type { JobRun, StopReason } from "./job-run.js";

export class RunningJobs {
  readonly #onChange: () => void;
  readonly #rows = new Map<string, number>();
  readonly #runs = new Map<string, JobRun>();
  /** Fetched and not begun when last swept. */
  #idlers = new Set<string>();
  #onIdle = (): void => undefined;

  /** @param onChange the rows in use have changed */
  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  get size(): number {
    return this.#rows.size;
  }

  get rows(): Iterable<number> {
    return this.#rows.values();
  }

  hold(id: string, rows: number): void {
    this.#rows.set(id, rows);
    this.#onChange();
  }

  release(id: string): void {
    this.#rows.delete(id);
    this.#onChange();
    if (this.#rows.size === 0) this.#onIdle();
  }

  /** An earlier run of the same job has lost its lock, and is told. */
  begin(id: string, run: JobRun): void {
    this.#runs.get(id)?.stop("lost");
    this.#runs.set(id, run);
  }

  end(id: string, run: JobRun): void {
    if (this.#runs.get(id) === run) this.#runs.delete(id);
  }

  stop(id: string, reason: StopReason): void {
    this.#runs.get(id)?.stop(reason);
  }

  stopAll(reason: StopReason): void {
    for (const run of this.#runs.values()) run.stop(reason);
  }

  /** Resolves when it holds nothing, or after so long. */
  async idle(timeoutMs: number): Promise<void> {
    if (this.#rows.size === 0) return;
    const idle = new Promise<void>((resolve) => (this.#onIdle = resolve));
    await Promise.race([idle, sleep(timeoutMs, undefined, { ref: false })]);
  }

  /** Releases jobs that were fetched before the last sweep and never began: BullMQ ended them itself. */
  sweep(): void {
    const idlers = [...this.#rows.keys()].filter((id) => !this.#runs.has(id));
    for (const id of idlers) if (this.#idlers.has(id)) this.release(id);
    this.#idlers = new Set(idlers);
  }
}

// How many jobs a worker may hold: those that run, one for each free row, and a few so that rows don't wait for Redis. Pure.
//
//   rows  ████████████░░░░ ++        the backlog stays in Redis, where any worker can take it
//         running     free look-ahead

/** A request with beams or several outputs takes several rows. */
export function concurrencyFor(rowsOfRunning: Iterable<number>, capacity: number): number {
  let running = 0;
  let used = 0;
  for (const rows of rowsOfRunning) {
    running += 1;
    used += Math.min(rows, capacity);
  }
  return Math.max(1, running + Math.max(0, capacity + lookAhead(capacity) - used));
}

function lookAhead(capacity: number): number {
  return Math.ceil(capacity / 16);
}

// Tells when a worker has gone deaf: jobs wait, rows are free, and yet it took none for long (bullmq #3185, #3088, #4378). Pure: time is passed in.

export interface Hearing {
  /** Jobs that wait in its queue. */
  readonly depth: number;
  /** It could take one. */
  readonly hasRoom: boolean;
  /** Jobs it has taken since it was made. */
  readonly taken: number;
}

export class Watchdog {
  readonly #patienceMs: number;
  #taken = -1;
  #deafSince: number | null = null;

  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs;
  }

  /** True when it is time for a new worker; then the count begins anew. */
  isDeaf({ depth, hasRoom, taken }: Hearing, nowMs: number): boolean {
    const isIdle = depth > 0 && hasRoom && taken === this.#taken;
    this.#taken = taken;
    if (!isIdle) {
      this.#deafSince = null;
      return false;
    }
    this.#deafSince ??= nowMs;
    if (nowMs - this.#deafSince < this.#patienceMs) return false;
    this.#deafSince = null;
    return true;
  }
}
