// The engines of one model over time: started by the first who needs them, closed after a while without requests, started again by the next one.
//
//   none ──get()──▶ starting ──▶ running ──idle──▶ closing ──▶ none
import type { EnginePool } from "../host/engine-host.js";

export interface OnDemandOptions {
  readonly start: () => Promise<EnginePool>;
  /** Closed after this time without a request; 0 = never. */
  readonly idleUnloadMs: number;
  readonly onUnloaded: () => void;
}

export class OnDemandEngines {
  readonly #options: OnDemandOptions;
  /** Running, or on their way up; null: none, or on their way down. */
  #pool: Promise<EnginePool> | null = null;
  #closing: Promise<void> = Promise.resolve();
  #isRunning = false;
  /** Requests under way. */
  #users = 0;
  #idleTimer: NodeJS.Timeout | null = null;

  constructor(options: OnDemandOptions) {
    this.#options = options;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** Running or on their way up. */
  get isStarted(): boolean {
    return this.#pool !== null;
  }

  /** The engines, started when they are not there; a start that failed is tried again by the next call. */
  get(): Promise<EnginePool> {
    this.#pool ??= this.#start().catch((error: unknown) => {
      this.#pool = null;
      throw error;
    });
    return this.#pool;
  }

  /** Somebody is about to use them: they are not closed until the release. */
  acquire(): void {
    this.#users += 1;
    this.#stopIdleTimer();
  }

  release(): void {
    this.#users -= 1;
    this.closeWhenIdle();
  }

  /** Starts the idle period; does nothing while somebody uses them. */
  closeWhenIdle(): void {
    const { idleUnloadMs, onUnloaded } = this.#options;
    if (idleUnloadMs === 0 || this.#users > 0 || !this.#isRunning) return;
    this.#stopIdleTimer();
    this.#idleTimer = setTimeout(() => void this.#unload().then(onUnloaded), idleUnloadMs);
    this.#idleTimer.unref();
  }

  async close(): Promise<void> {
    this.#users += 1;
    this.#stopIdleTimer();
    await this.#unload();
  }

  async #start(): Promise<EnginePool> {
    await this.#closing;
    const pool = await this.#options.start();
    this.#isRunning = true;
    return pool;
  }

  #stopIdleTimer(): void {
    if (this.#idleTimer !== null) clearTimeout(this.#idleTimer);
    this.#idleTimer = null;
  }

  // A request that comes while engines close waits for #closing in #start, then gets new ones.
  #unload(): Promise<void> {
    const pool = this.#pool;
    this.#pool = null;
    this.#isRunning = false;
    if (pool !== null) this.#closing = pool.then((engines) => engines.close()).catch(() => undefined);
    return this.#closing;
  }
}
