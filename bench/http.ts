// The whole server over HTTP: closed loops of 1 to 128 streaming clients, every answer held against the one-at-a-time answer of the same run.
import { percentiles, round, type Percentiles } from "./percentiles.js";
import { startServer } from "./server-process.js";
import { streamGenerate } from "./sse-client.js";
import { workloads, type Workload } from "./workload.js";

export interface HttpResult {
  readonly model: string;
  readonly clients: number;
  readonly requests: number;
  readonly seconds: number;
  readonly tokensPerSecond: number;
  /** Against one client in the same run. */
  readonly timesOneClient: number;
  readonly firstTokenMs: Percentiles;
  readonly gapMs: Percentiles;
  readonly totalMs: Percentiles;
  /** Answers that were not the one-at-a-time answer. */
  readonly differences: number;
  /** Of the server's main thread during this measurement. */
  readonly eventLoopDelayP99Ms: number;
}

const clientCounts = [1, 8, 32, 128];

export async function benchHttp(secondsEach: number): Promise<HttpResult[]> {
  const server = await startServer();
  try {
    const results: HttpResult[] = [];
    for (const workload of workloads()) results.push(...(await benchModel(server.url, workload, secondsEach)));
    return results;
  } finally {
    await server.stop();
  }
}

async function benchModel(url: string, workload: Workload, seconds: number): Promise<HttpResult[]> {
  const answers = new Map<string, string>();
  await measure(url, workload, 8, 1, answers);
  const results: HttpResult[] = [];
  for (const clients of clientCounts) {
    const sample = await measure(url, workload, clients, seconds, answers);
    const timesOneClient = round(sample.tokensPerSecond / (results[0]?.tokensPerSecond ?? sample.tokensPerSecond), 2);
    results.push({ ...sample, timesOneClient });
  }
  return results;
}

async function measure(
  url: string,
  { model, inputs }: Workload,
  clients: number,
  seconds: number,
  answers: Map<string, string>,
) {
  const first: number[] = [];
  const gaps: number[] = [];
  const totals: number[] = [];
  let tokens = 0;
  let next = 0;
  let differences = 0;
  await eventLoopDelayP99Ms(url);
  const started = performance.now();
  const endAt = started + seconds * 1000;
  const client = async () => {
    while (performance.now() < endAt) {
      const input = inputs[next++ % Math.min(inputs.length, 400)] ?? "";
      let before: number | null = null;
      for await (const { atMs, data } of streamGenerate(url, { model, inputs: input })) {
        if (typeof data["generated_text"] === "string") {
          totals.push(atMs);
          tokens += (data["usage"] as { generated_tokens: number }).generated_tokens;
          const known = answers.get(input) ?? data["generated_text"];
          answers.set(input, known);
          if (known !== data["generated_text"]) differences += 1;
          continue;
        }
        if (before === null) first.push(atMs);
        else gaps.push(atMs - before);
        before = atMs;
      }
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  const elapsed = (performance.now() - started) / 1000;
  return {
    model,
    clients,
    requests: totals.length,
    seconds: round(elapsed, 1),
    tokensPerSecond: Math.round(tokens / elapsed),
    firstTokenMs: percentiles(first),
    gapMs: percentiles(gaps),
    totalMs: percentiles(totals),
    differences,
    eventLoopDelayP99Ms: await eventLoopDelayP99Ms(url),
  };
}

/** Since the last call: the server forgets its samples at each scrape. */
async function eventLoopDelayP99Ms(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text
    .split("\n")
    .find((candidate) => candidate.startsWith('seqserve_event_loop_delay_seconds{quantile="0.99"}'));
  return round(Number(line?.split(" ").at(-1) ?? Number.NaN) * 1000, 2);
}
