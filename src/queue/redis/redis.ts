// Connections to Redis, each made the right way for its use; and what Redis says of itself. A process starts without Redis and finds it by itself,
// again and again.
//
//   commands: refuse at once while it is away · subscriber: pub/sub only · worker: BullMQ's, whose commands wait until it is back
import { Redis, type RedisOptions as AllRedisOptions } from "ioredis";
import { isReadOnly } from "./redis-script.js";
import type { RedisLevel } from "../../telemetry/scale-out-metrics.js";

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

export interface RedisConnectionOptions {
  readonly role: RedisRole;
  /** For the log: each failure to connect, each broken connection. */
  readonly onError?: (error: Error) => void;
  /** A Redis that owes an answer for this long counts as away, as one whose host is gone. Idle connections are pinged at this interval. Not in role "worker". */
  readonly silenceMs?: number;
}

const usualSilenceMs = 5000;
const longestRetryMs = 1000;
const closeTimeoutMs = 1000;

export function connectRedis(url: string, options: RedisConnectionOptions): RedisConnection {
  const { role, onError = () => undefined, silenceMs = usualSilenceMs } = options;
  return new Connection(new Redis(url, clientOptions(role, silenceMs)), onError, role === "worker" ? null : silenceMs);
}

function clientOptions(role: RedisRole, silenceMs: number): RedisOptions {
  const common: RedisOptions = {
    connectTimeout: usualSilenceMs,
    disconnectTimeout: closeTimeoutMs,
    retryStrategy: (attempt) => Math.min(25 * 2 ** attempt, longestRetryMs),
    // After a failover the old primary says so: only a new connection finds the new one.
    reconnectOnError: isReadOnly,
  };
  if (role === "worker") return { ...common, maxRetriesPerRequest: null };
  return {
    ...common,
    socketTimeout: silenceMs,
    enableOfflineQueue: false,
    // Not 1: then what was in flight when the connection broke waits for a whole reconnect before it fails.
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // The inbox subscribes at each "up" itself, to know when nothing can be missed any more.
    autoResubscribe: false,
  };
}

class Connection implements RedisConnection {
  readonly client: Redis;
  readonly #listeners = new Set<(isUp: boolean) => void>();
  readonly #heartbeat: NodeJS.Timeout | null;
  #isUp = false;

  constructor(client: Redis, onError: (error: Error) => void, heartbeatMs: number | null) {
    this.client = client;
    client.on("error", (error: Error) => onError(error));
    client.on("ready", () => this.#change(true));
    client.on("close", () => this.#change(false));
    client.on("end", () => this.#change(false));
    this.#heartbeat = heartbeatMs === null ? null : setInterval(() => this.#ping(), heartbeatMs).unref();
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  onChange(listener: (isUp: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    if (this.#heartbeat !== null) clearInterval(this.#heartbeat);
    const timeout = setTimeout(() => this.client.disconnect(), closeTimeoutMs);
    if (this.#isUp) await this.client.quit().catch(() => undefined);
    clearTimeout(timeout);
    // "end" is not waited for: it does not always come.
    this.client.disconnect();
  }

  // An idle connection to a host that is gone would seem up for many minutes.
  #ping(): void {
    if (this.#isUp) this.client.ping().catch(() => undefined);
  }

  #change(isUp: boolean): void {
    if (isUp === this.#isUp) return;
    this.#isUp = isUp;
    for (const listener of this.#listeners) listener(isUp);
  }
}

/** What Redis' INFO says, as numbers for metrics. Fields that a Redis (or one of its kin) does not have count as 0, and as nothing wrong. Pure. */
export function readRedisInfo(info: string): RedisLevel {
  const fields = new Map(
    info.split("\r\n").flatMap((line): [string, string][] => {
      const colon = line.indexOf(":");
      return colon === -1 ? [] : [[line.slice(0, colon), line.slice(colon + 1)]];
    }),
  );
  const number = (name: string): number => {
    const value = Number(fields.get(name));
    return Number.isFinite(value) ? value : 0;
  };
  return {
    memoryBytes: number("used_memory"),
    memoryLimitBytes: number("maxmemory"),
    evictedKeys: number("evicted_keys"),
    clients: number("connected_clients"),
    commands: number("total_commands_processed"),
    canWriteAof: (fields.get("aof_last_write_status") ?? "ok") === "ok",
  };
}
