// What workers of their own cost and give: the work that one and two workers finish, each pinned to its own core, and the CPU that a token costs
// through Redis and in one process, nothing pinned. API node, Redis and this load generator share the same two cores: their part is told.
//
//   both of a pair are started ──▶ each is warmed ──▶ they are loaded in turn, forth and back, so that a slow minute of the machine meets both
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { startCluster, type Cluster } from "../../test/suites/chaos/cluster.js";
import { requests } from "../../test/suites/chaos/oracle.js";
import { round } from "../tools/percentiles.js";
import { startServer } from "../tools/server-process.js";
import { generateJson } from "../tools/sse-client.js";

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
const rounds = 4;

/** Beams over long inputs: the model's work, not HTTP's, is what two workers share. The others go on for long besides. */
const searches = [
  { num_beams: 4 },
  { num_beams: 8, min_new_tokens: 60 },
  { num_beams: 8, min_new_tokens: 120, max_new_tokens: 124 },
];

/** The same for all: what one logs and another doesn't would be counted as Redis' cost. */
const env = { THREADS: "1", MAX_QUEUED_REQUESTS: "256", LOG_LEVEL: "info" };

/** A process interprets its code for the first thousands of requests, and pays for compiling it: two processes pay twice, but only once. */
const warmSeconds = 15;
const warmBodies = ["one", "two", "six", "ten"].map((inputs) => ({ model: "itn-en", inputs }));

export async function benchScale(seconds: number): Promise<ScaleResult[]> {
  const workers = await pair([() => pinned(1), () => pinned(2)], seconds);
  return [...workers, ...(await pair([unpinned, embedded], seconds))];
}

/** No more than two at a time: idle processes cost something too. */
async function pair(starts: readonly (() => Promise<Side>)[], seconds: number): Promise<ScaleResult[]> {
  const sides: Side[] = [];
  try {
    for (const start of starts) sides.push(await start());
    for (const { url } of sides) await work(url, warmBodies, warmSeconds);
    const results: ScaleResult[] = [];
    for (const parameters of searches) results.push(...(await compared(sides, parameters, seconds)));
    return results;
  } finally {
    await Promise.all(sides.map((side) => side.stop()));
  }
}

async function compared(sides: readonly Side[], parameters: object, seconds: number): Promise<ScaleResult[]> {
  const bodies = requests(200)
    .filter(({ model }) => model === "itn-en")
    .map((body) => ({ ...body, parameters }));
  const samples = new Map<Side, Sample[]>(sides.map((side) => [side, []]));
  for (const { url } of sides) await work(url, bodies, 2);
  for (let round = 0; round < rounds; round += 1)
    for (const side of round % 2 === 0 ? sides : sides.toReversed())
      samples.get(side)?.push(await sampled(side, bodies, seconds));
  return [...samples].map(([{ setting }, all]) => resultOf(setting, all));
}

/** Something that answers, and all processes that it takes. */
interface Side {
  readonly setting: string;
  readonly url: string;
  /** By name. */
  readonly pids: Readonly<Record<string, number>>;
  stop(): Promise<void>;
}

async function pinned(workers: number): Promise<Side> {
  const cluster = await startCluster({ apis: 1, workers, env });
  cluster.workers.forEach(({ pid }, core) => pin(pid, core));
  return sideOf(cluster, `${workers} pinned ${workers === 1 ? "worker" : "workers"}`);
}

async function unpinned(): Promise<Side> {
  return sideOf(await startCluster({ apis: 1, workers: 1, env }), "1 worker");
}

async function embedded(): Promise<Side> {
  const server = await startServer(env);
  const pids = { server: server.process.pid ?? 0 };
  return { setting: "embedded", url: server.url, pids, stop: () => server.stop() };
}

function sideOf(cluster: Cluster, setting: string): Side {
  return { setting, url: cluster.apis[0]?.url ?? "", pids: pidsOf(cluster), stop: () => cluster.stop() };
}

interface Sample extends Work {
  /** Milliseconds of each process, and of this one as "load". */
  readonly cpuMs: Readonly<Record<string, number>>;
}

async function sampled({ url, pids }: Side, bodies: readonly object[], seconds: number): Promise<Sample> {
  const before = cpuOf(pids);
  const mineBefore = process.cpuUsage();
  const done = await work(url, bodies, seconds);
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

async function work(url: string, bodies: readonly object[], seconds: number): Promise<Work> {
  const started = performance.now();
  let generations = 0;
  let tokens = 0;
  const client = async () => {
    while (performance.now() - started < seconds * 1000) {
      const body = bodies[generations++ % bodies.length] ?? {};
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
