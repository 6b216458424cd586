// The producer's side of BullMQ: one queue per model and digest, all on one connection. Never waits for a Redis that is away.
import { Queue } from "bullmq";
import type { Redis } from "ioredis";
import { unreachable } from "../redis/redis-script.js";
import { keptFailures, maxEvents, queueName, type JobData, type Target } from "./bull-job.js";

/** What BullMQ knows of a job. "unknown": it is not there. */
export type JobState = Awaited<ReturnType<Queue["getJobState"]>>;

/** Jobs of a queue by state. */
export interface JobCounts {
  readonly waiting: number;
  readonly active: number;
  readonly delayed: number;
  readonly failed: number;
}

/** All methods throw AppError "unavailable" when Redis can't be reached. */
export class JobQueues {
  readonly #redis: Redis;
  readonly #prefix: string;
  readonly #queues = new Map<string, Queue<JobData>>();

  /** @param redis a connection without an offline queue; whoever made it closes it */
  constructor(redis: Redis, prefix: string) {
    this.#redis = redis;
    this.#prefix = prefix;
  }

  /** A job that is there already stays as it is. @param priority 1 (first) to 10 */
  async add(target: Target, data: JobData, priority: number): Promise<void> {
    await this.#reach(target, (queue) =>
      queue.add("generate", data, {
        jobId: data.id,
        // BullMQ's 0 goes before all others.
        priority: Math.max(1, priority),
        attempts: 1,
        // Answers are looked up in the token log.
        removeOnComplete: true,
        removeOnFail: keptFailures,
      }),
    );
  }

  state(target: Target, id: string): Promise<JobState> {
    return this.#reach(target, (queue) => queue.getJobState(id));
  }

  /** A running job stays: its worker holds the lock. */
  async remove(target: Target, id: string): Promise<void> {
    await this.#reach(target, (queue) => queue.remove(id).catch(ignoreLocked));
  }

  /** Wakes one idle worker of a queue, should its marker have woken one that takes nothing more. Harmless where none waits. */
  async nudge(target: Target): Promise<void> {
    await this.#reach(target, (queue) => this.#redis.zadd(queue.toKey("marker"), 0, "0"));
  }

  counts(target: Target): Promise<JobCounts> {
    return this.#reach(target, async (queue) => {
      const counts = await queue.getJobCounts("waiting", "prioritized", "active", "delayed", "failed");
      const of = (state: string) => counts[state] ?? 0;
      return {
        waiting: of("waiting") + of("prioritized"),
        active: of("active"),
        delayed: of("delayed"),
        failed: of("failed"),
      };
    });
  }

  /** The connection stays open. */
  async close(): Promise<void> {
    await Promise.allSettled([...this.#queues.values()].map((queue) => queue.close()));
  }

  async #reach<T>(target: Target, work: (queue: Queue<JobData>) => Promise<T>): Promise<T> {
    // BullMQ waits for a connection that is not there, for ever.
    if (this.#redis.status !== "ready") throw unreachable("the queue");
    try {
      return await work(this.#queue(target));
    } catch (error) {
      throw unreachable("the queue", error);
    }
  }

  #queue(target: Target): Queue<JobData> {
    const name = queueName(target);
    const known = this.#queues.get(name);
    if (known !== undefined) return known;
    const queue = new Queue<JobData>(name, {
      connection: this.#redis,
      prefix: this.#prefix,
      // Its INFO would run beside the first command; workers check.
      skipVersionCheck: true,
      streams: { events: { maxLen: maxEvents } },
    });
    // The connection's owner reports its errors.
    queue.on("error", () => undefined);
    this.#queues.set(name, queue);
    return queue;
  }
}

function ignoreLocked(error: unknown): void {
  if (!(error instanceof Error) || !/lock|could not be removed/iu.test(error.message)) throw error;
}
