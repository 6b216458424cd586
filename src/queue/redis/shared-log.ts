// All of Redis that generations need, connected: the log, the inbox of this API node, what a worker flushes with, and whether Redis is there.
import { followNew, follow, type NewFollower, type FollowOptions } from "../log/follow.js";
import { Inbox } from "./inbox.js";
import { publishPushes, type Push } from "./pushes.js";
import { connectRedis, type RedisConnection } from "./redis.js";
import { RedisTokenLog, type AppendedTo, type AppendRequest } from "./redis-token-log.js";
import type { GenerationRecord, LogEntry } from "../log/token-log.js";

export interface SharedLogOptions {
  readonly url: string;
  readonly prefix: string;
  readonly ttlMs: number;
  /** Unique among running processes, without white space. */
  readonly nodeId: string;
  readonly onError?: (error: Error) => void;
  /** Seconds that a message took from its worker to this node. */
  readonly onDelivered?: (seconds: number) => void;
  readonly follow?: FollowOptions;
}

export class SharedLog {
  readonly log: RedisTokenLog;
  /** In role "commands", for whatever else must fail fast. */
  readonly commands: RedisConnection;
  readonly #options: SharedLogOptions;
  readonly #subscriber: RedisConnection;
  readonly #inbox: Inbox;

  constructor(options: SharedLogOptions) {
    const { url, prefix, ttlMs, nodeId, onError = () => undefined, onDelivered = () => undefined } = options;
    this.#options = options;
    this.commands = connectRedis(url, { role: "commands", onError });
    this.#subscriber = connectRedis(url, { role: "subscriber", onError });
    this.log = new RedisTokenLog({ client: this.commands.client, prefix, ttlMs });
    this.commands.onChange((isUp) => isUp && this.log.prepare());
    this.#inbox = new Inbox({ commands: this.commands, subscriber: this.#subscriber, prefix, nodeId, onDelivered });
  }

  follow(id: string, after: number, signal: AbortSignal): AsyncGenerator<LogEntry, void, void> {
    return follow(this.log, this.#inbox.watch, id, after, signal, this.#options.follow);
  }

  /** Before create: what its log will hold, from the first entry. */
  followNew(id: string): NewFollower {
    return followNew(this.log, this.#inbox.watchNew, id, this.#options.follow);
  }

  /** A log whose entries are pushed here. */
  create(record: GenerationRecord): Promise<void> {
    return this.log.create(record, this.#options.nodeId);
  }

  /**
   * A worker's flush: appends, then pushes what is in to the nodes that follow. An answer for each, in order. If it throws "unavailable", some
   * may be in: repeat all of it.
   */
  async flush(requests: readonly AppendRequest[]): Promise<AppendedTo[]> {
    const atMs = Date.now();
    const answers = await this.log.appendMany(requests);
    this.#push(requests, answers, atMs);
    return answers;
  }

  async close(): Promise<void> {
    this.#inbox.close();
    await Promise.all([this.commands.close(), this.#subscriber.close()]);
  }

  // Not waited for: the connection keeps the order, and a push that fails is caught up with by the follower's next reading.
  #push(requests: readonly AppendRequest[], answers: readonly AppendedTo[], atMs: number): void {
    const pushes = requests.flatMap(({ id, entries }, i): Push[] => {
      const { result, nodes = [] } = answers[i] ?? { result: "gone" };
      return result === "ok" && nodes.length > 0 && entries.length > 0 ? [{ id, entries, nodes }] : [];
    });
    publishPushes(this.commands.client, this.#options.prefix, pushes, atMs).catch(() => undefined);
  }
}
