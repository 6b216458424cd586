// What is watched: a Redis, an API node, two workers, and an embedded server beside them, each at a port of its own, under a real Prometheus.
import { execFileSync } from "node:child_process";
import { freePort, RedisServer } from "../../support/servers/redis.js";
import { Place } from "../chaos/cluster.js";
import { Prometheus, type Target } from "./prometheus.js";

const common = { LOG_LEVEL: "info", THREADS: "1" };

export class System implements AsyncDisposable {
  readonly redis: RedisServer;
  readonly api: Place;
  readonly workers: readonly Place[];
  readonly server: Place;
  readonly prometheus: Prometheus;
  readonly #others = new Set<Place>();

  private constructor(redis: RedisServer, places: readonly Place[], prometheus: Prometheus) {
    const [api, server, ...workers] = places as [Place, Place, ...Place[]];
    this.redis = redis;
    this.api = api;
    this.server = server;
    this.workers = workers;
    this.prometheus = prometheus;
  }

  /** Resolves when all are ready. */
  static async start(): Promise<System> {
    const redis = await RedisServer.start({ isDurable: "everysec", outlivesFileLimit: true });
    const roles = [{ ROLE: "api" }, null, { ROLE: "worker" }, { ROLE: "worker" }];
    const places: Place[] = [];
    for (const role of roles) {
      const env = role === null ? { MAX_QUEUED_REQUESTS: "16" } : { ...role, REDIS_URL: redis.url };
      places.push(new Place(role?.ROLE ?? "server", await freePort(), { ...common, ...env }));
    }
    // Whatever happens, none is left behind.
    process.once("exit", () => places.forEach((place) => place.signal("SIGKILL")));
    const system = new System(redis, places, await Prometheus.start([]));
    system.redisCommand("config", "set", "maxmemory", "256mb");
    system.#setTargets();
    await Promise.all(system.places.map((place) => place.untilReady()));
    return system;
  }

  get places(): readonly Place[] {
    return [this.api, this.server, ...this.workers];
  }

  /** Of those that answer requests. */
  get urls(): readonly string[] {
    return [this.api.url, this.server.url];
  }

  /** Returns the way to stop it. */
  watchAlso(place: Place): () => void {
    this.#others.add(place);
    this.#setTargets();
    return () => {
      this.#others.delete(place);
      this.#setTargets();
    };
  }

  redisCommand(...command: readonly string[]): string {
    return execFileSync("redis-cli", ["-p", String(this.redis.port), ...command], { encoding: "utf8" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.places.map((place) => place.end("SIGKILL")));
    await this.redis.stop();
    await this.prometheus[Symbol.asyncDispose]();
  }

  #setTargets(): void {
    this.prometheus.setTargets(targetsOf([...this.places, ...this.#others]));
  }
}

function targetsOf(places: readonly Place[]): Target[] {
  return places.map(({ url, name }) => ({ address: new URL(url).host, service: name.split(" ")[0] ?? "" }));
}
