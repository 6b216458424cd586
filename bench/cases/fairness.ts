// Two models in one process: a client sends to one, lightly, while bursts of requests arrive at the other. How much longer do its answers take?
// Measured is the server, on cores that it shares only with its clients: this process, the light client, goes before all others where it
// may, so that it is a stopwatch; the sender of bursts costs little.
import { fork, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setPriority } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import type { BurstStart } from "./burst.js";
import { percentiles, round, type Percentiles } from "../tools/percentiles.js";
import { startServer } from "../tools/server-process.js";
import { streamGenerate } from "../tools/sse-client.js";
import { workloads, type Workload } from "../tools/workload.js";
import { guarded } from "../tools/child-guard.js";

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
  /** Nice value of the light client: 0 where this process may not raise itself. */
  readonly clientNice: number;
}

const burst = 200;
/** The p95 of some 150 requests is the eighth worst: with half as many rounds it jumps by a quarter. */
const rounds = 32;
/** Not measured: V8 compiles for seconds, on as many threads as there are, what bursts are the first to run. */
const warmUps = 8;
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
  const sender = await startSender({ port: Number(new URL(url).port), workload: busy, size: burst });
  // Behind the fork, which would inherit it.
  const clientNice = raised(-10);
  const alone: number[] = [];
  const beside: number[] = [];
  const seconds: number[] = [];
  let refused = 0;
  for (let number = 0; number < warmUps; number += 1) await answersUntil(url, quiet, send(sender, number));
  for (let number = warmUps; number < warmUps + rounds; number += 1) {
    const started = performance.now();
    const sent = send(sender, number);
    beside.push(...(await answersUntil(url, quiet, sent)));
    refused += await sent;
    seconds.push((performance.now() - started) / 1000);
    alone.push(...(await answersUntil(url, quiet, sleep(Math.max(1, seconds.at(-1) ?? 1) * 1000))));
  }
  sender.disconnect();
  raised(0);
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
    clientNice,
  };
}

/** Sets this process's nice value where that is allowed; returns the one it has. */
function raised(nice: number): number {
  try {
    setPriority(nice);
    return nice;
  } catch {
    return 0;
  }
}

async function startSender(start: BurstStart): Promise<ChildProcess> {
  const sender = guarded(fork(new URL("./burst.js", import.meta.url)));
  const ready = once(sender, "message");
  sender.send(start);
  await ready;
  return sender;
}

/** The number of refused requests. */
async function send(sender: ChildProcess, number: number): Promise<number> {
  const answered = once(sender, "message");
  sender.send(number);
  const [refused] = (await answered) as [number];
  return refused;
}

/** Times of whole answers, one client, until `end`. The request under way at the end counts. */
async function answersUntil(url: string, workload: Workload, end: Promise<unknown>): Promise<number[]> {
  const state = { isOver: false };
  void end.then(() => (state.isOver = true));
  const times: number[] = [];
  for (let next = 0; !state.isOver; next += 1) {
    times.push(await answerMs(url, workload, next));
    await sleep(pauseMs);
  }
  return times;
}

/** Milliseconds of one whole answer. */
async function answerMs(url: string, { model, inputs }: Workload, index: number): Promise<number> {
  const started = performance.now();
  for await (const { data } of streamGenerate(url, { model, inputs: inputs[index % inputs.length] ?? "" })) {
    if (data["error"] !== undefined) throw new Error(`${model} refused the lightly loaded client: ${data["error"]}`);
  }
  return performance.now() - started;
}
