// What workers of their own cost and give: the work that one and two workers finish, each pinned to its own core, and the CPU that a token costs
// through Redis and in one process. API node, Redis and this load generator share the same two cores: their part is told.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { startCluster, type Cluster } from "../test/chaos/cluster.js";
import { requests } from "../test/chaos/oracle.js";
import { round } from "./percentiles.js";
import { startServer } from "./server-process.js";
import { generateJson } from "./sse-client.js";

export interface ScaleResult {
  readonly setting: string;
  /** Tokens of one generation, on average. */
  readonly tokensPerGeneration: number;
  readonly generationsPerSecond: number;
  readonly tokensPerSecond: number;
  /** Milliseconds of CPU for 1,000 tokens, by process. */
  readonly cpuMsPer1000Tokens: Readonly<Record<string, number>>;
}

const clients = 64;

/** Beams over long inputs: the model's work, not HTTP's, is what two workers share. The second kind goes on for long besides. */
const searches = [{ num_beams: 4 }, { num_beams: 8, min_new_tokens: 60 }];

export async function benchScale(seconds: number): Promise<ScaleResult[]> {
  const results: ScaleResult[] = [];
  for (const parameters of searches) {
    for (const workers of [1, 2, 1, 2]) results.push(await clustered(workers, parameters, seconds));
    results.push(await embedded(parameters, seconds));
  }
  return results;
}

async function clustered(workers: number, parameters: object, seconds: number): Promise<ScaleResult> {
  const cluster = await startCluster({ apis: 1, workers, env: { THREADS: "1", MAX_QUEUED_REQUESTS: "256" } });
  try {
    cluster.workers.forEach(({ pid }, core) => pin(pid, core));
    const pids = pidsOf(cluster);
    return {
      setting: `${workers} workers`,
      ...(await measured(cluster.apis[0]?.url ?? "", pids, { parameters, seconds })),
    };
  } finally {
    await cluster.stop();
  }
}

async function embedded(parameters: object, seconds: number): Promise<ScaleResult> {
  const server = await startServer({ THREADS: "1", MAX_QUEUED_REQUESTS: "256" });
  try {
    return {
      setting: "embedded",
      ...(await measured(server.url, { server: server.process.pid ?? 0 }, { parameters, seconds })),
    };
  } finally {
    await server.stop();
  }
}

async function measured(
  url: string,
  pids: Readonly<Record<string, number>>,
  { parameters, seconds }: { readonly parameters: object; readonly seconds: number },
) {
  await work(url, parameters, 2);
  const before = cpuOf(pids);
  const mineBefore = process.cpuUsage();
  const done = await work(url, parameters, seconds);
  const after = cpuOf(pids);
  const mine = process.cpuUsage(mineBefore);
  const per1000 = (ms: number) => round((ms / done.tokens) * 1000, 1);
  const cpu = Object.keys(pids).map((name) => [name, per1000((after[name] ?? 0) - (before[name] ?? 0))]);
  return {
    tokensPerGeneration: round(done.tokens / done.generations, 1),
    generationsPerSecond: round(done.generations / done.seconds, 1),
    tokensPerSecond: round(done.tokens / done.seconds, 0),
    cpuMsPer1000Tokens: { ...Object.fromEntries(cpu), load: per1000((mine.user + mine.system) / 1000) },
  };
}

interface Work {
  readonly generations: number;
  readonly tokens: number;
  /** Until the last one has ended. */
  readonly seconds: number;
}

async function work(url: string, parameters: object, seconds: number): Promise<Work> {
  const bodies = requests(200).filter(({ model }) => model === "itn-en");
  const started = performance.now();
  let generations = 0;
  let tokens = 0;
  const client = async () => {
    while (performance.now() - started < seconds * 1000) {
      const body = { ...bodies[generations++ % bodies.length], parameters };
      const { usage } = (await generateJson(url, body)) as { usage: { generated_tokens: number } };
      tokens += usage.generated_tokens;
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return { generations, tokens, seconds: (performance.now() - started) / 1000 };
}

function pidsOf({ redis, apis, workers }: Cluster): Record<string, number> {
  const named = [...apis, ...workers].map(({ name, pid }) => [name, pid] as const);
  return { redis: redis.pid, ...Object.fromEntries(named) };
}

function pin(pid: number, core: number): void {
  execFileSync("taskset", ["-a", "-c", "-p", String(core), String(pid)]);
}

const ticksPerSecond = Number(execFileSync("getconf", ["CLK_TCK"]).toString());

/** Milliseconds of user and system time so far. */
function cpuOf(pids: Readonly<Record<string, number>>): Record<string, number> {
  const entries = Object.entries(pids).map(([name, pid]) => {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    return [name, ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond] as const;
  });
  return Object.fromEntries(entries);
}
