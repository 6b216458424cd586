// Connections to Redis, each made the right way for its use. A process starts without Redis and finds it by itself, again and again.
//
//   commands: refuse at once while it is away · subscriber: pub/sub only · worker: BullMQ's, whose commands wait until it is back
import { Redis, type RedisOptions as AllRedisOptions } from "ioredis";

// Without the one option that decides the client's type.
type RedisOptions = Omit<AllRedisOptions, "replyMapping">;

export type RedisRole = "commands" | "subscriber" | "worker";

export interface RedisConnection {
  readonly client: Redis;
  /** Commands can be sent now. */
  readonly isUp: boolean;
  /** Calls with isUp at each change, and returns the way to stop it. */
  onChange(listener: (isUp: boolean) => void): () => void;
  /** Never hangs, and never throws: what is still in flight after a second is given up. */
  close(): Promise<void>;
}

const longestRetryMs = 1000;
const closePatienceMs = 1000;
/** A Redis that takes commands and never answers is away as well. */
const commandTimeoutMs = 5000;

const common: RedisOptions = {
  connectTimeout: commandTimeoutMs,
  retryStrategy: (attempt) => Math.min(25 * 2 ** attempt, longestRetryMs),
  // After a failover the old primary says READONLY: only a new connection finds the new one.
  reconnectOnError: (error) => error.message.startsWith("READONLY"),
};

const failFast: RedisOptions = {
  enableOfflineQueue: false,
  // Not 1: then what was in flight when the connection broke waits for a whole reconnect before it fails.
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  commandTimeout: commandTimeoutMs,
};

const byRole: Record<RedisRole, RedisOptions> = {
  commands: failFast,
  // Its owner subscribes at each "up" itself, to know when nothing can be missed any more.
  subscriber: { ...failFast, autoResubscribe: false },
  worker: { maxRetriesPerRequest: null },
};

export interface RedisConnectionOptions {
  readonly role: RedisRole;
  /** For the log: each failure to connect, each broken connection. */
  readonly onError?: (error: Error) => void;
}

export function connectRedis(url: string, { role, onError }: RedisConnectionOptions): RedisConnection {
  return new Connection(new Redis(url, { ...common, ...byRole[role] }), onError);
}

class Connection implements RedisConnection {
  readonly client: Redis;
  readonly #listeners = new Set<(isUp: boolean) => void>();
  #isUp = false;

  constructor(client: Redis, onError: (error: Error) => void = () => undefined) {
    this.client = client;
    client.on("error", (error: Error) => onError(error));
    client.on("ready", () => this.#change(true));
    client.on("close", () => this.#change(false));
    client.on("end", () => this.#change(false));
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  onChange(listener: (isUp: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    if (this.client.status === "end") return;
    const ended = new Promise<void>((resolve) => this.client.once("end", resolve));
    const patience = setTimeout(() => this.client.disconnect(), this.#isUp ? closePatienceMs : 0);
    if (this.#isUp) this.client.quit().catch(() => this.client.disconnect());
    await ended;
    clearTimeout(patience);
  }

  #change(isUp: boolean): void {
    if (isUp === this.#isUp) return;
    this.#isUp = isUp;
    for (const listener of this.#listeners) listener(isUp);
  }
}
