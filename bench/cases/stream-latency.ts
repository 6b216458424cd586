// What Redis adds to a stream that has the machine to itself: first token and end, in one process, with ROLE=all, and with an API node and a worker.
import { Cluster, ServerProcess } from "../../test/support/servers/cluster.js";
import { percentiles, type Percentiles } from "../tools/percentiles.js";
import { streamGenerate } from "../tools/sse-client.js";

export interface LatencyResult {
  readonly setting: string;
  readonly streams: number;
  readonly firstMs: Percentiles;
  readonly totalMs: Percentiles;
}

const env = { MODEL: "itn-en", THREADS: "1", LOG_LEVEL: "info" };
const inputs = "one hundred and twenty three dollars and forty five cents on march the third twenty twenty one";
const streams = 60;

export async function benchStreamLatency(): Promise<LatencyResult[]> {
  return [
    await embedded(),
    await shared("ROLE=all", { apis: 0, workers: 0, alls: 1 }),
    await shared("api + worker", { apis: 1, workers: 1, alls: 0 }),
  ];
}

async function embedded(): Promise<LatencyResult> {
  const server = new ServerProcess(env);
  await server.untilReady();
  try {
    return await latency("embedded", server.url);
  } finally {
    await server.kill("SIGKILL");
  }
}

async function shared(setting: string, shape: { apis: number; workers: number; alls: number }): Promise<LatencyResult> {
  await using cluster = await Cluster.start({ ...shape, env: env });
  const [entry] = [...cluster.apis, ...cluster.alls];
  if (entry === undefined) throw new Error("nobody to ask");
  // Awaited here: the cluster lives as long as this function.
  return await latency(setting, entry.url);
}

async function latency(setting: string, url: string): Promise<LatencyResult> {
  for (let i = 0; i < 10; i += 1) await timed(url);
  const all = [];
  for (let i = 0; i < streams; i += 1) all.push(await timed(url));
  return {
    setting,
    streams,
    firstMs: percentiles(all.map(({ firstMs }) => firstMs)),
    totalMs: percentiles(all.map(({ totalMs }) => totalMs)),
  };
}

async function timed(url: string): Promise<{ firstMs: number; totalMs: number }> {
  let firstMs = 0;
  let totalMs = 0;
  for await (const { atMs } of streamGenerate(url, { inputs })) {
    firstMs ||= atMs;
    totalMs = atMs;
  }
  return { firstMs, totalMs };
}
