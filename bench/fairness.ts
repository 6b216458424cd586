// Two models in one process: a client sends to one, lightly, while bursts of requests arrive at the other. How much longer do its answers take?
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { answerMs, type BurstData } from "./burst.js";
import { percentiles, round, type Percentiles } from "./percentiles.js";
import { startServer } from "./server-process.js";
import { workloads, type Workload } from "./workload.js";

export interface FairnessResult {
  /** Gets a request now and then. */
  readonly quiet: string;
  /** Gets the bursts. */
  readonly busy: string;
  readonly burst: number;
  readonly bursts: number;
  readonly requestsAlone: number;
  readonly requestsBeside: number;
  readonly aloneMs: Percentiles;
  readonly besideMs: Percentiles;
  /** p95 beside a burst by p95 alone, of the same run. */
  readonly p95Ratio: number;
  /** Seconds that a burst took. */
  readonly burstSeconds: number;
  /** Requests of the bursts that were refused. */
  readonly refused: number;
}

const burst = 200;
const rounds = 8;
/** Between two requests of the quiet client: far below what its model can do. */
const pauseMs = 40;

export async function benchFairness(): Promise<FairnessResult[]> {
  const server = await startServer({ MAX_QUEUED_REQUESTS: "256" });
  try {
    const [first, second] = workloads() as [Workload, Workload];
    return [await measure(server.url, first, second), await measure(server.url, second, first)];
  } finally {
    await server.stop();
  }
}

/** Rounds alone and beside a burst alternate, so that a slow minute of the machine meets both. */
async function measure(url: string, quiet: Workload, busy: Workload): Promise<FairnessResult> {
  const data: BurstData = { url, workload: busy, size: burst };
  const sender = new Worker(new URL("./burst.js", import.meta.url), { workerData: data });
  const alone: number[] = [];
  const beside: number[] = [];
  const seconds: number[] = [];
  let refused = 0;
  await send(sender, 0);
  await answersUntil(url, quiet, sleep(1000));
  for (let number = 1; number <= rounds; number += 1) {
    const started = performance.now();
    const sent = send(sender, number);
    beside.push(...(await answersUntil(url, quiet, sent)));
    refused += await sent;
    seconds.push((performance.now() - started) / 1000);
    alone.push(...(await answersUntil(url, quiet, sleep(Math.max(1, seconds.at(-1) ?? 1) * 1000))));
  }
  await sender.terminate();
  const [aloneMs, besideMs] = [percentiles(alone), percentiles(beside)];
  return {
    quiet: quiet.model,
    busy: busy.model,
    burst,
    bursts: rounds,
    requestsAlone: alone.length,
    requestsBeside: beside.length,
    aloneMs,
    besideMs,
    p95Ratio: round(besideMs.p95 / aloneMs.p95, 2),
    burstSeconds: round(seconds.reduce((sum, value) => sum + value, 0) / seconds.length, 2),
    refused,
  };
}

/** The number of refused requests. */
async function send(sender: Worker, number: number): Promise<number> {
  const answered = once(sender, "message");
  sender.postMessage(number, []);
  const [refused] = (await answered) as [number];
  return refused;
}

/** Times of whole answers, one client, until `end`. The request under way at the end counts. */
async function answersUntil(url: string, workload: Workload, end: Promise<unknown>): Promise<number[]> {
  const state = { isOver: false };
  void end.then(() => (state.isOver = true));
  const times: number[] = [];
  for (let next = 0; !state.isOver; next += 1) {
    const ms = await answerMs(url, workload, next);
    if (ms === null) throw new Error(`${workload.model} refused the lightly loaded client`);
    times.push(ms);
    await sleep(pauseMs);
  }
  return times;
}
