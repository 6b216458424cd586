// What workers of their own cost and give: the work that one and two workers finish, each pinned to its own core, and the CPU that a token costs
// through Redis and in one process, nothing pinned. API node, Redis and this load generator share the same two cores: their part is told.
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

const env = { THREADS: "1", MAX_QUEUED_REQUESTS: "256" };
const costRounds = 4;

export async function benchScale(seconds: number): Promise<ScaleResult[]> {
  const results: ScaleResult[] = [];
  for (const parameters of searches) {
    for (const workers of [1, 2, 1, 2]) results.push(await pinned(workers, parameters, seconds));
    results.push(...(await costs(parameters, seconds)));
  }
  return results;
}

async function pinned(workers: number, parameters: object, seconds: number): Promise<ScaleResult> {
  const cluster = await startCluster({ apis: 1, workers, env });
  try {
    cluster.workers.forEach(({ pid }, core) => pin(pid, core));
    const side = { url: cluster.apis[0]?.url ?? "", pids: pidsOf(cluster) };
    await work(side.url, parameters, 2);
    return resultOf(`${workers} pinned workers`, [await sampled(side, parameters, seconds)]);
  } finally {
    await cluster.stop();
  }
}

/** Both are there all the time and loaded in turn, so that a slow minute of the machine meets both; none is pinned. */
async function costs(parameters: object, seconds: number): Promise<ScaleResult[]> {
  const cluster = await startCluster({ apis: 1, workers: 1, env });
  const server = await startServer(env);
  try {
    const redis = { url: cluster.apis[0]?.url ?? "", pids: pidsOf(cluster) };
    const embedded = { url: server.url, pids: { server: server.process.pid ?? 0 } };
    const sides = [redis, embedded];
    const samples: Sample[][] = [[], []];
    for (const { url } of sides) await work(url, parameters, 2);
    for (let round = 0; round < costRounds; round += 1)
      for (const [i, side] of sides.entries()) samples[i]?.push(await sampled(side, parameters, seconds));
    return [resultOf("1 worker", samples[0] ?? []), resultOf("embedded", samples[1] ?? [])];
  } finally {
    await Promise.all([cluster.stop(), server.stop()]);
  }
}

interface Side {
  readonly url: string;
  /** Of its processes, by name. */
  readonly pids: Readonly<Record<string, number>>;
}

interface Sample extends Work {
  /** Milliseconds of each process, and of this one as "load". */
  readonly cpuMs: Readonly<Record<string, number>>;
}

async function sampled({ url, pids }: Side, parameters: object, seconds: number): Promise<Sample> {
  const before = cpuOf(pids);
  const mineBefore = process.cpuUsage();
  const done = await work(url, parameters, seconds);
  const after = cpuOf(pids);
  const { user, system } = process.cpuUsage(mineBefore);
  const cpu = Object.keys(pids).map((name) => [name, (after[name] ?? 0) - (before[name] ?? 0)]);
  return { ...done, cpuMs: { ...Object.fromEntries(cpu), load: (user + system) / 1000 } };
}

function resultOf(setting: string, samples: readonly Sample[]): ScaleResult {
  const sum = (of: (sample: Sample) => number) => samples.reduce((total, sample) => total + of(sample), 0);
  const [generations, tokens, seconds] = [
    sum((one) => one.generations),
    sum((one) => one.tokens),
    sum((one) => one.seconds),
  ];
  const names = Object.keys(samples[0]?.cpuMs ?? {});
  const cpu = names.map((name) => [name, round((sum(({ cpuMs }) => cpuMs[name] ?? 0) / tokens) * 1000, 1)]);
  return {
    setting,
    tokensPerGeneration: round(tokens / generations, 1),
    generationsPerSecond: round(generations / seconds, 1),
    tokensPerSecond: round(tokens / seconds, 0),
    cpuMsPer1000Tokens: Object.fromEntries(cpu) as Record<string, number>,
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
