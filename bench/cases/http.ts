// The whole server over HTTP: closed loops of 1 to 128 clients, streaming or waiting for JSON, every answer held against the one-at-a-time answer of the same run.
import { percentiles, round, type Percentiles } from "../tools/percentiles.js";
import { startServer } from "../tools/server-process.js";
import { generateJson, streamGenerate } from "../tools/sse-client.js";
import { workloads, type Workload } from "../tools/workload.js";

export interface HttpResult {
  readonly model: string;
  readonly answers: "stream" | "json";
  readonly clients: number;
  readonly requests: number;
  readonly seconds: number;
  readonly tokensPerSecond: number;
  /** Against one client of the same kind in the same run. */
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
  await measure(url, workload, { kind: "stream", clients: 8, seconds: 1 }, answers);
  const results: HttpResult[] = [];
  for (const kind of ["stream", "json"] as const) {
    let one: number | null = null;
    for (const clients of clientCounts) {
      const sample = await measure(url, workload, { kind, clients, seconds }, answers);
      one ??= sample.tokensPerSecond;
      results.push({ ...sample, timesOneClient: round(sample.tokensPerSecond / one, 2) });
    }
  }
  return results;
}

async function measure(
  url: string,
  { model, inputs }: Workload,
  { kind, clients, seconds }: { kind: HttpResult["answers"]; clients: number; seconds: number },
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
  const finished = (input: string, data: Record<string, unknown>, totalMs: number) => {
    const answer = String(data["generated_text"]);
    totals.push(totalMs);
    tokens += (data["usage"] as { generated_tokens: number }).generated_tokens;
    const known = answers.get(input) ?? answer;
    answers.set(input, known);
    if (known !== answer) differences += 1;
  };
  const client = async () => {
    while (performance.now() < endAt) {
      const input = inputs[next++ % Math.min(inputs.length, 400)] ?? "";
      if (kind === "json") {
        const sent = performance.now();
        finished(input, await generateJson(url, { model, inputs: input }), performance.now() - sent);
        continue;
      }
      let before: number | null = null;
      for await (const { atMs, data } of streamGenerate(url, { model, inputs: input })) {
        if (typeof data["generated_text"] === "string") {
          finished(input, data, atMs);
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
    answers: kind,
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
