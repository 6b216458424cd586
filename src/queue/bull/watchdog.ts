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
