// What Redis costs and what a lost worker costs, on real processes:  npm run --silent build && node dist/bench/queue/run.js [kills]
// Prints JSON: latency of one stream at a time, embedded, ROLE=all and api + worker; then the longest silence of streams whose worker is killed.
import { Cluster, ServerProcess } from "../../test/support/cluster.js";
import { percentiles } from "../percentiles.js";
import { streamGenerate } from "../sse-client.js";

const env = { MODEL: "itn-en", THREADS: "1", LOG_LEVEL: "debug" };
const inputs = "one hundred and twenty three dollars and forty five cents on march the third twenty twenty one";
const requests = 60;
const kills = Number(process.argv[2] ?? 10);

interface Timed {
  readonly firstMs: number;
  readonly totalMs: number;
}

async function timed(url: string): Promise<Timed> {
  let firstMs = 0;
  let totalMs = 0;
  for await (const { atMs } of streamGenerate(url, { inputs })) {
    firstMs ||= atMs;
    totalMs = atMs;
  }
  return { firstMs, totalMs };
}

async function latency(url: string) {
  for (let i = 0; i < 10; i += 1) await timed(url);
  const all: Timed[] = [];
  for (let i = 0; i < requests; i += 1) all.push(await timed(url));
  return {
    first_ms: percentiles(all.map(({ firstMs }) => firstMs)),
    total_ms: percentiles(all.map(({ totalMs }) => totalMs)),
  };
}

async function embedded() {
  const server = new ServerProcess(env);
  await server.untilReady();
  try {
    return await latency(server.url);
  } finally {
    await server.kill("SIGKILL");
  }
}

async function shared(shape: { apis: number; workers: number; alls: number }) {
  await using cluster = await Cluster.start({ ...shape, env });
  const [entry] = [...cluster.apis, ...cluster.alls];
  if (entry === undefined) throw new Error("nobody to ask");
  // Awaited here: the cluster lives as long as this function.
  return await latency(entry.url);
}

/** Longest silence of a stream whose worker is killed after ten tokens. */
async function recovery() {
  const silences: number[] = [];
  await using cluster = await Cluster.start({ workers: 2, env });
  const [api] = cluster.apis;
  if (api === undefined) throw new Error("nobody to ask");
  for (let i = 0; i < kills; i += 1) {
    const silentMs = await silence(cluster, api.url);
    if (silentMs === null) continue;
    silences.push(silentMs);
    await cluster.addWorker();
    await api.untilServed();
  }
  return { kills: silences.length, silence_ms: percentiles(silences) };
}

/** Null when the worker had ended before it could be killed. */
async function silence(cluster: Cluster, url: string): Promise<number | null> {
  let longest = 0;
  let isKilled = false;
  let lastAt = 0;
  let tokens = 0;
  const parameters = { max_new_tokens: 128, min_new_tokens: 128 };
  for await (const { atMs } of streamGenerate(url, { inputs, parameters })) {
    tokens += 1;
    if (tokens > 1) longest = Math.max(longest, atMs - lastAt);
    lastAt = atMs;
    if (tokens !== 10) continue;
    const busy = cluster.workers.find(
      (worker) => worker.logged("generation taken").length > worker.logged("generation left").length,
    );
    isKilled = busy !== undefined;
    void busy?.kill("SIGKILL");
  }
  return isKilled ? longest : null;
}

console.log(
  JSON.stringify(
    {
      node: process.version,
      embedded: await embedded(),
      all: await shared({ apis: 0, workers: 0, alls: 1 }),
      api_and_worker: await shared({ apis: 1, workers: 1, alls: 0 }),
      killed_worker: await recovery(),
    },
    null,
    2,
  ),
);
