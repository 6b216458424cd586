// What a load adds to the process's resident memory: known only where no other load ran at the same time.

export class LoadMeter {
  readonly #read: () => number;
  #running = 0;
  #started = 0;

  /** @param read resident bytes of the process */
  constructor(read: () => number = () => process.memoryUsage.rss()) {
    this.#read = read;
  }

  /** `bytes` is null where loads overlapped. */
  async measure<T>(load: () => Promise<T>): Promise<{ readonly value: T; readonly bytes: number | null }> {
    const before = this.#read();
    const order = ++this.#started;
    const wasAlone = this.#running === 0;
    this.#running += 1;
    try {
      const value = await load();
      const isAlone = wasAlone && this.#started === order;
      return { value, bytes: isAlone ? Math.max(0, this.#read() - before) : null };
    } finally {
      this.#running -= 1;
    }
  }
}
