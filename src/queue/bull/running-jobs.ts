// What a worker holds: jobs it has fetched, the rows each takes, and the runs of those that have begun; and how many it may hold.
import { setTimeout as sleep } from "node:timers/promises";
import type { JobRun, StopReason } from "./job-run.js";

export class RunningJobs {
  readonly #onChange: () => void;
  readonly #rows = new Map<string, number>();
  readonly #runs = new Map<string, JobRun>();
  /** Fetched and not begun at the last sweep. */
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

  /** Stops an earlier run of the same job, which has lost its lock. */
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

  /** Resolves when it holds nothing, or after `timeoutMs`. */
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

/**
 * How many jobs a worker may hold: those that run, one for each free row, and a few so that rows don't wait for Redis. A request with beams or
 * several outputs takes several rows.
 *
 *   rows  ████████████░░░░ ++        the backlog stays in Redis, where any worker can take it
 *         running     free look-ahead
 */
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
