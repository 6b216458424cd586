// An API node's picture of the workers: who serves what, since when nobody does. Learns the models' facts on the way.
import { AppError } from "../../errors.js";
import { queueName, type Target } from "./bull-job.js";
import type { Announcement } from "./worker-announcements.js";

export interface WorkerDirectoryOptions {
  readonly read: () => Promise<readonly Announcement[]>;
  /** The models of this node, as its own folders have them. */
  readonly targets: () => Promise<readonly Target[]>;
  /** Called at each change: facts of a worker that serves the model as it is here, or null for none. */
  readonly learn: (model: string, facts: unknown) => void;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Requests for a model wait for a worker so long; then they are refused. */
  readonly patienceMs: number;
}

export class WorkerDirectory {
  readonly #options: WorkerDirectoryOptions;
  readonly #startedAt: number;
  /** By queue. */
  readonly #seenAt = new Map<string, number>();
  /** Facts last told to learn, as text, by model. */
  readonly #told = new Map<string, string>();
  #workers = new Map<string, Announcement[]>();
  #timer: NodeJS.Timeout | null = null;

  constructor(options: WorkerDirectoryOptions) {
    this.#options = options;
    this.#startedAt = options.now();
  }

  /** Reads at once, then every so often until close. */
  start(everyMs: number): void {
    const turn = async () => {
      await this.refresh().catch(() => undefined);
      if (this.#timer === null) return;
      this.#timer = setTimeout(() => void turn(), everyMs);
      this.#timer.unref();
    };
    this.#timer = setTimeout(() => void turn(), 0);
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  async refresh(): Promise<void> {
    const announcements = await this.#options.read();
    const workers = new Map<string, Announcement[]>();
    for (const announcement of announcements) {
      const queue = queueName(announcement);
      workers.set(queue, [...(workers.get(queue) ?? []), announcement]);
      this.#seenAt.set(queue, this.#options.now());
    }
    this.#workers = workers;
    for (const target of await this.#options.targets()) this.#learn(target);
  }

  /** Announced now. */
  workersOf(target: Target): readonly Announcement[] {
    return this.#workers.get(queueName(target)) ?? [];
  }

  /** Throws AppError "unavailable" when nobody has served it for long. */
  requireWorker(target: Target): void {
    const seenAt = this.#seenAt.get(queueName(target)) ?? this.#startedAt;
    if (this.workersOf(target).length > 0 || this.#options.now() - seenAt < this.#options.patienceMs) return;
    throw new AppError("unavailable", `no worker serves model "${target.model}"`, {
      field: "model",
      retryAfterSeconds: 5,
    });
  }

  // The first worker speaks for all: their facts differ in little things only.
  #learn(target: Target): void {
    const facts = this.workersOf(target)[0]?.facts ?? null;
    const text = JSON.stringify(facts);
    if ((this.#told.get(target.model) ?? "null") === text) return;
    this.#told.set(target.model, text);
    this.#options.learn(target.model, facts);
  }
}
