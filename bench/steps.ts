// STEPS_PER_RUN on the CPU: what a token costs when several greedy steps are one run, against one step a run. CPU time, in turns, so that neighbours of
// the machine disturb all alike.
import { createInference, type Inference } from "../src/inference/inference.js";
import type { Prepared } from "../src/generation.js";
import { options, prepareAll, run } from "./engine.js";
import { round } from "./percentiles.js";
import { workloads, type Workload } from "./workload.js";

export interface StepsResult {
  readonly model: string;
  readonly inFlight: number;
  readonly stepsPerRun: number;
  /** Of the whole process. */
  readonly cpuMsPerToken: number;
  /** Below 1: cheaper than one step a run. */
  readonly timesOneStep: number;
}

const counts = [1, 4, 8];
const inFlightCounts = [1, 8, 32];
const rounds = 4;

export async function benchStepsPerRun(secondsEach: number): Promise<StepsResult[]> {
  const results: StepsResult[] = [];
  for (const workload of workloads()) results.push(...(await benchModel(workload, secondsEach)));
  return results;
}

interface Contender {
  readonly stepsPerRun: number;
  readonly inference: Inference;
  readonly prepared: readonly Prepared[];
}

async function benchModel(workload: Workload, seconds: number): Promise<StepsResult[]> {
  const contenders: Contender[] = [];
  for (const stepsPerRun of counts) {
    const inference = await createInference({ ...options(workload.model, () => undefined), stepsPerRun });
    await inference.ready;
    const prepared = await prepareAll(inference, workload, { num_beams: 1 });
    contenders.push({ stepsPerRun, inference, prepared });
  }
  const results: StepsResult[] = [];
  for (const inFlight of inFlightCounts)
    results.push(...(await benchInFlight(workload.model, contenders, inFlight, seconds)));
  await Promise.all(contenders.map(({ inference }) => inference.close()));
  return results;
}

async function benchInFlight(model: string, contenders: readonly Contender[], inFlight: number, seconds: number) {
  const spent = contenders.map(() => ({ cpuMs: 0, tokens: 0 }));
  for (const { inference, prepared } of contenders) await run(inference, prepared, inFlight, 0.3);
  for (let round = 0; round < rounds; round += 1) {
    for (const [index, { inference, prepared }] of contenders.entries()) {
      const before = process.cpuUsage();
      const { tokens } = await run(inference, prepared, inFlight, seconds / rounds);
      const { user, system } = process.cpuUsage(before);
      const own = spent[index];
      if (own === undefined) continue;
      own.cpuMs += (user + system) / 1000;
      own.tokens += tokens;
    }
  }
  const costs = spent.map(({ cpuMs, tokens }) => cpuMs / tokens);
  return contenders.map(({ stepsPerRun }, index) => ({
    model,
    inFlight,
    stepsPerRun,
    cpuMsPerToken: round(costs[index] ?? 0, 3),
    timesOneStep: round((costs[index] ?? 0) / (costs[0] ?? 1), 2),
  }));
}
