// Who in this process is called for new entries of which generation. Pushes are hints: the log is the truth, so an empty list just says "look again".
import type { LogEntry } from "./token-log.js";

export type OnEntries = (entries: readonly LogEntry[]) => void;

/** Calls onEntries with what was appended, or with nothing when something may have been missed. Returns the way to stop it. */
export type Watch = (id: string, onEntries: OnEntries) => () => void;

export class Watchers {
  readonly #byId = new Map<string, Set<OnEntries>>();

  get ids(): readonly string[] {
    return [...this.#byId.keys()];
  }

  readonly watch: Watch = (id, onEntries) => {
    // A wrapper of its own, so that the same function may watch twice.
    const watcher: OnEntries = (entries) => onEntries(entries);
    const watching = this.#byId.get(id) ?? new Set();
    this.#byId.set(id, watching.add(watcher));
    return () => {
      watching.delete(watcher);
      if (watching.size === 0 && this.#byId.get(id) === watching) this.#byId.delete(id);
    };
  };

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  notify(id: string, entries: readonly LogEntry[]): void {
    for (const onEntries of this.#byId.get(id) ?? []) onEntries(entries);
  }
}
