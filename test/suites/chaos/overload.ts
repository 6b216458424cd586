// Ten times more requests than the cluster can do: those that are refused hear it at once, those that are taken are answered about as fast as before,
// Redis stays small, and nothing is left behind.
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { percentiles, round, type Percentiles } from "../../../bench/tools/percentiles.js";
import { startCluster, type Cluster } from "./cluster.js";
import { requests } from "./oracle.js";
import type { Offer, Offered } from "./offer.js";

export interface OverloadResult {
  /** Finished a second, `clients` at a time. */
  readonly capacity: number;
  readonly offeredPerSecond: number;
  readonly seconds: number;
  readonly accepted: number;
  readonly refused: number;
  /** Neither 200 nor 429. */
  readonly otherwise: number;
  readonly refusedMs: Percentiles;
  /** The latency of accepted requests at capacity and under overload, the queue of `maxQueued` included. */
  readonly acceptedMs: { readonly atCapacity: Percentiles; readonly overloaded: Percentiles };
  readonly redisBytes: { readonly before: number; readonly most: number; readonly after: number };
  /** Keys of generations in Redis, and clients connected to it, before and after. */
  readonly keys: { readonly before: number; readonly after: number };
  readonly connections: { readonly before: number; readonly after: number };
}

const ttlSeconds = 5;
const maxQueued = 32;

export async function overload(seconds: number, clients = 32): Promise<OverloadResult> {
  const env = { MAX_QUEUED_REQUESTS: String(maxQueued), GENERATION_TTL: String(ttlSeconds) };
  const cluster = await startCluster({ apis: 1, workers: 1, env });
  try {
    const offer = offerTo(cluster);
    await offer({ clients, perSecond: null, seconds: 3 });
    const usual = await offer({ clients, perSecond: null, seconds: 5 });
    await sleep(1000);
    const before = redisState(cluster);
    const capacity = usual.acceptedMs.length / 5;
    const most = watchMemory(cluster);
    const over = await offer({ clients: 0, perSecond: capacity * 10, seconds });
    const mostBytes = most();
    // Logs of what was asked for go away GENERATION_TTL after their end.
    await sleep((ttlSeconds + 3) * 1000);
    const after = redisState(cluster);
    return {
      capacity: round(capacity, 1),
      offeredPerSecond: round((over.acceptedMs.length + over.refusedMs.length + over.otherwise) / seconds, 1),
      seconds,
      accepted: over.acceptedMs.length,
      refused: over.refusedMs.length,
      otherwise: over.otherwise,
      refusedMs: percentiles(over.refusedMs),
      acceptedMs: { atCapacity: percentiles(usual.acceptedMs), overloaded: percentiles(over.acceptedMs) },
      redisBytes: { before: before.bytes, most: mostBytes, after: after.bytes },
      keys: { before: before.keys, after: after.keys },
      connections: { before: before.connections, after: after.connections },
    };
  } finally {
    await cluster.stop();
  }
}

/** The load comes from a thread of its own: what is measured is not what judges. Beams over long inputs, so that the model is the bottleneck. */
function offerTo(cluster: Cluster): (offer: Omit<Offer, "url" | "bodies">) => Promise<Offered> {
  const bodies = requests(200)
    .filter(({ model }) => model === "itn-en")
    .map((body) => ({ ...body, parameters: { num_beams: 8, max_new_tokens: 48 } }));
  const url = cluster.apis[0]?.url ?? "";
  return async (offer) => {
    const worker = new Worker(new URL("./offer.js", import.meta.url), { workerData: { ...offer, url, bodies } });
    const [offered] = (await once(worker, "message")) as [Offered];
    return offered;
  };
}

function redisState({ redis }: Cluster): { bytes: number; keys: number; connections: number } {
  const cli = (...args: string[]) => execFileSync("redis-cli", ["-p", String(redis.port), ...args]).toString();
  const keys = cli("--scan", "--pattern", "*:gen:*").split("\n").filter(Boolean);
  const logs = keys.filter((key) => !key.endsWith(":meta"));
  const connections = cli("client", "list").trim().split("\n").length;
  return { bytes: usedMemory(cli("info", "memory")), keys: logs.length, connections };
}

function usedMemory(info: string): number {
  return Number(/used_memory:(\d+)/u.exec(info)?.[1]);
}

/** Samples until it is called. */
function watchMemory({ redis }: Cluster): () => number {
  let most = 0;
  const timer = setInterval(() => {
    const info = execFileSync("redis-cli", ["-p", String(redis.port), "info", "memory"]).toString();
    most = Math.max(most, usedMemory(info));
  }, 2000);
  return () => {
    clearInterval(timer);
    return most;
  };
}
