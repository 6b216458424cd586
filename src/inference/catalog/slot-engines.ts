// The engines of one slot over time: started by the first who needs them, closed after a while without requests, started again by the next one.
//
//   none ──running()──▶ starting ──▶ running ──idle──▶ closing ──▶ none
import type { EngineRun, SubmitSpec } from "../host/engine-host.js";
import type { EnginePool } from "../host/engine-pool.js";

export interface SlotEnginesOptions {
  readonly start: () => Promise<EnginePool>;
  /** Close after so long without a request; 0 = never. */
  readonly idleUnloadMs: number;
  readonly onUnloaded: () => void;
}

export class SlotEngines {
  readonly #options: SlotEnginesOptions;
  /** Running, or on their way up; null: none, or on their way down. */
  #pool: Promise<EnginePool> | null = null;
  #closing: Promise<void> = Promise.resolve();
  #isRunning = false;
  #inFlight = 0;
  #idleTimer: NodeJS.Timeout | null = null;

  constructor(options: SlotEnginesOptions) {
    this.#options = options;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** Somebody needs them already. */
  get isWanted(): boolean {
    return this.#pool !== null;
  }

  running(): Promise<EnginePool> {
    this.#pool ??= this.#start().catch((error: unknown) => {
      this.#pool = null;
      throw error;
    });
    return this.#pool;
  }

  /** Runs one sequence on engines that stay until it ends. `wakened` gets them: the slot knows what their failure means. */
  async *run(
    spec: SubmitSpec,
    signal: AbortSignal,
    wakened: () => Promise<EnginePool>,
  ): AsyncGenerator<EngineRun, void, void> {
    this.#inFlight += 1;
    this.#stopIdleTimer();
    try {
      const pool = await untilAborted(wakened(), signal);
      yield pool.submit(spec, signal);
    } finally {
      this.#inFlight -= 1;
      this.watchIdleness();
    }
  }

  watchIdleness(): void {
    const { idleUnloadMs, onUnloaded } = this.#options;
    if (idleUnloadMs === 0 || this.#inFlight > 0 || !this.#isRunning) return;
    this.#stopIdleTimer();
    this.#idleTimer = setTimeout(() => void this.#unload().then(onUnloaded), idleUnloadMs);
    this.#idleTimer.unref();
  }

  async close(): Promise<void> {
    this.#inFlight += 1;
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

  // Who asks while engines close waits for #closing in #start, then gets new ones.
  #unload(): Promise<void> {
    const pool = this.#pool;
    this.#pool = null;
    this.#isRunning = false;
    if (pool !== null) this.#closing = pool.then((engines) => engines.close()).catch(() => undefined);
    return this.#closing;
  }
}

async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  let abort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason as Error);
    signal.addEventListener("abort", abort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
