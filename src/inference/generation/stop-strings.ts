// Watches an output's text for stop strings and cuts exactly before the first. Between the detokenizer and the events that clients see.

/** Takes an output's text piece by piece and gives back what can no longer be part of a stop string. */
export class StopWatcher {
  readonly #stops: readonly string[];
  #held = "";
  #stop: string | null = null;

  /** Empty strings never stop. */
  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== "");
  }

  /** The stop string that ended the text, or null. */
  get stop(): string | null {
    return this.#stop;
  }

  get isStopped(): boolean {
    return this.#stop !== null;
  }

  /** Text that is safe to send; "" from the stop string on. */
  push(text: string): string {
    if (this.#stop !== null) return "";
    const all = this.#held + text;
    const end = this.#cutAt(all) ?? this.#safeLength(all);
    this.#held = this.isStopped ? "" : all.slice(end);
    return all.slice(0, end);
  }

  /** What was held back, once no text follows. */
  flush(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }

  // The stop string that is complete first ends the text, whatever the size of the pieces; of those that end together, the longest.
  #cutAt(text: string): number | null {
    let firstEnd = Infinity;
    let cut: number | null = null;
    for (const stop of this.#stops) {
      const start = text.indexOf(stop);
      const end = start + stop.length;
      if (start < 0 || end > firstEnd || (end === firstEnd && cut !== null && start > cut)) continue;
      firstEnd = end;
      cut = start;
      this.#stop = stop;
    }
    return cut;
  }

  #safeLength(text: string): number {
    let safe = text.length;
    for (const stop of this.#stops) {
      const first = Math.max(0, text.length - stop.length + 1);
      for (let start = first; start < safe; start++) if (stop.startsWith(text.slice(start))) safe = start;
    }
    return safe;
  }
}
