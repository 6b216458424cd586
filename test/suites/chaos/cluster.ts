// A cluster whose processes come and go: each place has a port of its own, so that clients find whoever fills it next.
import { freePort, RedisServer } from "../../support/servers/redis.js";
import { ServerProcess, type Environment, type Line } from "../../support/servers/cluster.js";

/** One API node's or worker's place. */
export class Place {
  readonly name: string;
  readonly port: number;
  readonly #env: Environment;
  readonly #past: Line[] = [];
  #process: ServerProcess;

  constructor(name: string, port: number, env: Environment) {
    this.name = name;
    this.port = port;
    this.#env = { ...env, PORT: String(port) };
    this.#process = new ServerProcess(this.#env);
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Of all that were here. */
  logged(message: string): Line[] {
    return [...this.#past.filter(({ msg }) => msg === message), ...this.#process.logged(message)];
  }

  untilReady(): Promise<void> {
    return this.#process.untilReady();
  }

  /** SIGSTOP and SIGCONT. */
  signal(signal: NodeJS.Signals): void {
    this.#process.signal(signal);
  }

  /** Resolves with the exit code, or the signal's name. */
  async end(signal: NodeJS.Signals): Promise<number | string | null> {
    return this.#process.kill(signal);
  }

  /** A new process; resolves when it is ready. */
  async refill(): Promise<void> {
    this.#past.push(...this.#process.lines);
    this.#process = new ServerProcess(this.#env);
    await this.#process.untilReady();
  }
}

export interface Cluster {
  readonly redis: RedisServer;
  readonly apis: readonly Place[];
  readonly workers: readonly Place[];
  stop(): Promise<void>;
}

export interface ClusterSize {
  readonly apis: number;
  readonly workers: number;
  readonly env?: Environment;
}

/** Redis keeps an append-only file, synced every second. Resolves when all are ready. */
export async function startCluster({ apis, workers, env = {} }: ClusterSize): Promise<Cluster> {
  const redis = await RedisServer.start({ isDurable: "everysec" });
  const common = { REDIS_URL: redis.url, LOG_LEVEL: "info", ...env };
  const places = async (role: "api" | "worker", count: number) => {
    const ports = await Promise.all(Array.from({ length: count }, () => freePort()));
    return ports.map((port, i) => new Place(`${role} ${i + 1}`, port, { ROLE: role, ...common }));
  };
  const cluster = { redis, workers: await places("worker", workers), apis: await places("api", apis) };
  const all = [...cluster.apis, ...cluster.workers];
  const stop = async () => {
    await Promise.all(all.map((place) => place.end("SIGKILL")));
    await redis.stop();
  };
  try {
    await Promise.all(all.map((place) => place.untilReady()));
  } catch (error) {
    await stop();
    throw error;
  }
  return { ...cluster, stop };
}
