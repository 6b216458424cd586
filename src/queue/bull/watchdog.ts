// Tells a stalled worker from an idle or a busy one: jobs wait, rows are free, and it has taken none for long. BullMQ's workers do stall
// (bullmq #3185, #3088, #4378). Pure: time is passed in.

/** A worker at one moment. */
export interface WorkerLook {
  /** Jobs that wait in its queue. */
  readonly depth: number;
  /** It could take one. */
  readonly hasRoom: boolean;
  /** Jobs it has taken since it was made. */
  readonly taken: number;
}

export class Watchdog {
  readonly #stallTimeoutMs: number;
  #taken = -1;
  #idleSince: number | null = null;

  constructor(stallTimeoutMs: number) {
    this.#stallTimeoutMs = stallTimeoutMs;
  }

  /** True when it has stalled and should be replaced; then the time begins anew. */
  isStalled({ depth, hasRoom, taken }: WorkerLook, nowMs: number): boolean {
    const takesNone = depth > 0 && hasRoom && taken === this.#taken;
    this.#taken = taken;
    if (!takesNone) {
      this.#idleSince = null;
      return false;
    }
    this.#idleSince ??= nowMs;
    if (nowMs - this.#idleSince < this.#stallTimeoutMs) return false;
    this.#idleSince = null;
    return true;
  }
}
