// The engine without HTTP: prepared sequences straight into inference, as many in flight as asked.
import type { StepReport } from "../../src/inference/protocol/engine-protocol.js";
import { createInference, type Inference, type InferenceOptions } from "../../src/inference/inference.js";
import type { Prepared } from "../../src/generation.js";
import type { Parameters } from "../../src/parameters.js";
import { round } from "../tools/percentiles.js";
import { workloads, type Workload } from "../tools/workload.js";

export interface EngineResult {
  readonly model: string;
  readonly inFlight: number;
  readonly sequences: number;
  readonly tokensPerSecond: number;
  readonly timesOneInFlight: number;
  readonly meanRows: number;
  readonly stepMs: number;
  /** Scheduling, choosing and reporting, as a share of the engine's time. */
  readonly hostShare: number;
}

const inFlightCounts = [1, 8, 32];

export async function benchEngine(secondsEach: number): Promise<EngineResult[]> {
  const results: EngineResult[] = [];
  for (const workload of workloads()) results.push(...(await benchModel(workload, secondsEach)));
  return results;
}

async function benchModel(workload: Workload, seconds: number): Promise<EngineResult[]> {
  const reports: StepReport[] = [];
  const inference = await createInference(options(workload.model, (_model, report) => reports.push(report)));
  await inference.ready;
  const prepared = await prepareAll(inference, workload);
  const results: EngineResult[] = [];
  await run(inference, prepared, 8, 0.5);
  for (const inFlight of inFlightCounts) {
    reports.length = 0;
    const { sequences, tokens, elapsed } = await run(inference, prepared, inFlight, seconds);
    const tokensPerSecond = Math.round(tokens / elapsed);
    const timesOneInFlight = round(tokensPerSecond / (results[0]?.tokensPerSecond ?? tokensPerSecond), 2);
    results.push({
      model: workload.model,
      inFlight,
      sequences,
      tokensPerSecond,
      timesOneInFlight,
      ...summary(reports),
    });
  }
  await inference.close();
  return results;
}

function summary(reports: readonly StepReport[]) {
  const sum = (of: (report: StepReport) => number) => reports.reduce((total, report) => total + of(report), 0);
  const busyMs = sum((report) => report.encodeMs + report.decodeMs + report.hostMs);
  return {
    meanRows: round(sum((report) => report.rows) / reports.length, 1),
    stepMs: round(sum((report) => report.decodeMs) / reports.length, 2),
    hostShare: round(sum((report) => report.hostMs) / busyMs, 3),
  };
}

/** Runs `lanes` at a time, each one sequence after the other, until the time is over. */
export async function run(inference: Inference, prepared: readonly Prepared[], inFlight: number, seconds: number) {
  const started = performance.now();
  const endAt = started + seconds * 1000;
  let next = 0;
  let tokens = 0;
  let sequences = 0;
  const lane = async () => {
    while (performance.now() < endAt) {
      const one = prepared[next++ % prepared.length] as Prepared;
      for await (const event of inference.generate(one, AbortSignal.timeout(60_000))) {
        if (event.type === "end") tokens += event.usage.generatedTokens;
      }
      sequences += 1;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return { sequences, tokens, elapsed: (performance.now() - started) / 1000 };
}

/** One engine of one thread. */
export function options(model: string, onStep: InferenceOptions["onStep"]): InferenceOptions {
  return {
    modelsDir: "models",
    models: [model],
    device: "cpu",
    dtype: "auto",
    cacheDir: ".cache",
    engines: 1,
    threads: 1,
    cpus: 1,
    maxBatchRows: 32,
    maxEncodeTokens: 2048,
    limits: { maxInputTokens: null, maxNewTokens: 512, maxBeams: 16 },
    defaultTimeoutMs: null,
    onStep,
    idleUnloadMs: 0,
    loadTimeoutMs: 600_000,
    onLoaded: () => undefined,
    onUnloaded: () => undefined,
  };
}

export async function prepareAll(
  inference: Inference,
  { model, inputs }: Workload,
  parameters: Parameters = {},
): Promise<Prepared[]> {
  return Promise.all(inputs.slice(0, 400).map((text) => inference.prepare({ model, inputs: text, parameters })));
}
