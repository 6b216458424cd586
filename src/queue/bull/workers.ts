// Which workers serve which models: each worker announces it every few seconds, API nodes read it, learn the models' facts from it, and send
// workers control messages.
//
//   worker ──SET {prefix}:workers:<model>:<digest>:<worker> (lives 10 s), SADD {prefix}:workers──▶ Redis ◀──every second── WorkerDirectory
//   API node ──PUBLISH {prefix}:worker:<worker> {"type":"cancel","id"}──▶ worker
import type { Redis } from "ioredis";
import { AppError } from "../../errors.js";
import { poll } from "../timers.js";
import { queueName, type Target } from "./bull-job.js";

/** That one worker serves one model. Plain JSON. */
export interface Announcement extends Target {
  readonly worker: string;
  /** What its tokens depend on: dtype, device and the like. */
  readonly variant: string;
  /** Rows its engines decode at a time. */
  readonly rows: number;
  readonly version: string;
  /** What API nodes need to know of the model. */
  readonly facts: unknown;
}

const lifetimeMs = 10_000;
export const announceEveryMs = 3000;

export class Announcer {
  readonly #redis: Redis;
  readonly #prefix: string;

  constructor(redis: Redis, prefix: string) {
    this.#redis = redis;
    this.#prefix = prefix;
  }

  async announce(announcements: readonly Announcement[]): Promise<void> {
    if (announcements.length === 0) return;
    const batch = this.#redis.pipeline();
    for (const announcement of announcements) {
      const key = keyOf(this.#prefix, announcement);
      batch.set(key, JSON.stringify(announcement), "PX", lifetimeMs);
      batch.sadd(indexOf(this.#prefix), key);
    }
    for (const [error] of (await batch.exec()) ?? []) if (error !== null) throw error;
  }

  async withdraw(announcements: readonly Announcement[]): Promise<void> {
    const keys = announcements.map((announcement) => keyOf(this.#prefix, announcement));
    if (keys.length === 0) return;
    await this.#redis.pipeline().del(keys).srem(indexOf(this.#prefix), keys).exec();
  }
}

/** All that is announced now. Forgets names whose worker is gone. */
export async function readAnnouncements(redis: Redis, prefix: string): Promise<Announcement[]> {
  const keys = await redis.smembers(indexOf(prefix));
  if (keys.length === 0) return [];
  const texts = await redis.mget(keys);
  const gone = keys.filter((_, i) => texts[i] == null);
  if (gone.length > 0) await redis.srem(indexOf(prefix), gone);
  return texts.flatMap((text) => (text == null ? [] : readAnnouncement(text)));
}

function readAnnouncement(text: string): Announcement[] {
  try {
    const { model, digest, worker, variant, rows, version, facts } = JSON.parse(text) as Partial<Announcement>;
    if (typeof model !== "string" || typeof digest !== "string" || typeof worker !== "string") return [];
    return [{ model, digest, worker, variant: variant ?? "", rows: rows ?? 1, version: version ?? "", facts }];
  } catch {
    return [];
  }
}

function indexOf(prefix: string): string {
  return `${prefix}:workers`;
}

function keyOf(prefix: string, { model, digest, worker }: Announcement): string {
  return `${prefix}:workers:${encodeURIComponent(model)}:${digest}:${worker}`;
}

export interface WorkerDirectoryOptions {
  readonly read: () => Promise<readonly Announcement[]>;
  /** The models of this node, as its own folders have them. */
  readonly targets: () => Promise<readonly Target[]>;
  /** Called at each change: facts of a worker that serves the model as it is here, or null for none. */
  readonly learn: (model: string, facts: unknown) => void;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** How long requests for a model wait for a worker; then they are refused. */
  readonly workerWaitMs: number;
}

export class WorkerDirectory {
  readonly #options: WorkerDirectoryOptions;
  readonly #startedAt: number;
  /** When a worker was last announced, by queue. */
  readonly #seenAt = new Map<string, number>();
  /** Facts that were learnt last, as text, by model. */
  readonly #learnt = new Map<string, string>();
  #workers = new Map<string, Announcement[]>();
  #stopPolling = (): void => undefined;

  constructor(options: WorkerDirectoryOptions) {
    this.#options = options;
    this.#startedAt = options.now();
  }

  /** Reads at once, then every `everyMs` until close. */
  start(everyMs: number): void {
    this.#stopPolling = poll(() => this.refresh().catch(() => undefined), everyMs, 0);
  }

  close(): void {
    this.#stopPolling();
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

  /** Throws AppError "unavailable" when nobody has served it for `workerWaitMs`. */
  requireWorker(target: Target): void {
    const seenAt = this.#seenAt.get(queueName(target)) ?? this.#startedAt;
    if (this.workersOf(target).length > 0 || this.#options.now() - seenAt < this.#options.workerWaitMs) return;
    throw new AppError("unavailable", `no worker serves model "${target.model}"`, {
      field: "model",
      isSentence: true,
      retryAfterSeconds: 5,
    });
  }

  // The first worker speaks for all: their facts differ in little things only.
  #learn(target: Target): void {
    const facts = this.workersOf(target)[0]?.facts ?? null;
    const text = JSON.stringify(facts);
    if ((this.#learnt.get(target.model) ?? "null") === text) return;
    this.#learnt.set(target.model, text);
    this.#options.learn(target.model, facts);
  }
}

/** To one worker, besides its jobs. A hint only: a lost one is made up for by the cancel flag that each append returns. */
export type ControlMessage = { readonly type: "cancel"; readonly id: string };

export function controlChannel(prefix: string, worker: string): string {
  return `${prefix}:worker:${worker}`;
}

export function writeControl(message: ControlMessage): string {
  return JSON.stringify(message);
}

/** Null for what a newer version may have sent. */
export function readControl(text: string): ControlMessage | null {
  try {
    const { type, id } = JSON.parse(text) as Partial<ControlMessage>;
    return type === "cancel" && typeof id === "string" ? { type, id } : null;
  } catch {
    return null;
  }
}
