// The two ways in which this layer waits: again and again for something to look at, and for a while unless somebody wakes it.

/** Calls `work`, which must not reject, after `delayMs` and then `everyMs` after it has ended each time. Gives the way to stop; never keeps the process up. */
export function poll(work: () => Promise<void>, everyMs: number, delayMs = everyMs): () => void {
  let isStopped = false;
  let timer = setTimeout(run, delayMs).unref();
  async function run(): Promise<void> {
    await work();
    if (!isStopped) timer = setTimeout(run, everyMs).unref();
  }
  return () => {
    isStopped = true;
    clearTimeout(timer);
  };
}

/** For one that waits at a time. */
export class Sleeper {
  #wake = (): void => undefined;

  /** Resolves after `ms`, or at wake. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Does nothing while nobody sleeps. */
  wake(): void {
    this.#wake();
  }
}
