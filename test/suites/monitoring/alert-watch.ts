// Looks at Prometheus' alerts four times a second, and keeps when each began and ceased to fire.
import { setTimeout as sleep } from "node:timers/promises";
import type { FiringAlert, Prometheus } from "./prometheus.js";

export interface Seen {
  firedAt: number;
  resolvedAt: number | null;
  readonly alert: FiringAlert;
}

const everyMs = 250;

export class AlertWatch {
  /** The last time of each. */
  readonly seen = new Map<string, Seen>();
  readonly #prometheus: Prometheus;
  readonly #turns: Promise<void>;
  readonly #isCounted: (alert: FiringAlert) => boolean;
  #isOver = false;
  #looks = 0;

  /** @param isCounted false for alerts that another cause, which runs beside, makes by the way */
  constructor(prometheus: Prometheus, isCounted: (alert: FiringAlert) => boolean = () => true) {
    this.#prometheus = prometheus;
    this.#isCounted = isCounted;
    this.#turns = this.#watch();
  }

  get firing(): string[] {
    return [...this.seen].flatMap(([name, { resolvedAt }]) => (resolvedAt === null ? [name] : []));
  }

  /** Resolves when all of them have fired since `from`; rejects with those that did not. */
  async fired(names: readonly string[], from: number, patienceMs: number): Promise<void> {
    const hasFired = (name: string) => (this.seen.get(name)?.firedAt ?? -1) >= from;
    for (const started = performance.now(); performance.now() - started < patienceMs; await sleep(everyMs))
      if (names.every(hasFired)) return;
    throw new Error(`did not fire: ${names.filter((name) => !hasFired(name)).join(", ")}`);
  }

  /** Resolves when none of them fires; rejects with those that still do. */
  async quiet(names: readonly string[], patienceMs: number): Promise<void> {
    const looks = this.#looks;
    const left = () => this.firing.filter((name) => names.includes(name));
    for (const started = performance.now(); performance.now() - started < patienceMs; await sleep(everyMs))
      if (this.#looks > looks && left().length === 0) return;
    throw new Error(`still firing: ${left().join(", ")}`);
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#turns;
  }

  async #watch(): Promise<void> {
    for (; !this.#isOver; await sleep(everyMs)) {
      const firing = await this.#prometheus.firing().catch(() => null);
      if (firing !== null) this.#take(firing, performance.now());
    }
  }

  #take(all: readonly FiringAlert[], now: number): void {
    const firing = all.filter(this.#isCounted);
    this.#looks += 1;
    for (const alert of firing) {
      const known = this.seen.get(alert.name);
      if (known === undefined || known.resolvedAt !== null)
        this.seen.set(alert.name, { firedAt: now, resolvedAt: null, alert });
    }
    for (const [name, known] of this.seen)
      if (known.resolvedAt === null && firing.every((alert) => alert.name !== name)) known.resolvedAt = now;
  }
}
