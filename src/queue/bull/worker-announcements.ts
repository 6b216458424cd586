// Which workers serve which models: each worker writes its facts every few seconds, with a lifetime; API nodes read them.
//
//   worker ──SET {prefix}:workers:<model>:<digest>:<worker> (lives 10 s), SADD {prefix}:workers──▶ Redis ◀──every 2 s── API nodes
import type { Redis } from "ioredis";
import type { Target } from "./bull-job.js";

/** One worker's word on one model. Plain JSON. */
export interface Announcement extends Target {
  readonly worker: string;
  /** Of its tokens: dtype, device and the like. */
  readonly variant: string;
  /** Rows its engines decode at a time. */
  readonly rows: number;
  readonly version: string;
  /** What inference wants API nodes to know of the model. */
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
