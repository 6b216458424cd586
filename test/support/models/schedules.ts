// Promise 3 as a harness: runs sequences through a real Engine, alone or in a random schedule of joins and cancels, step by step and without threads.
import type { EngineEnd, EngineOptions, SequenceSpec } from "../../../src/inference/protocol/engine-protocol.js";
import { Engine } from "../../../src/inference/engine/engine.js";
import type { Seq2SeqModel } from "../../../src/inference/engine/models/model.js";
import { below } from "../random.js";

export type Job = Omit<SequenceSpec, "id">;

export interface Result {
  /** Streamed tokens of output 0 in order. */
  readonly streamed: readonly number[];
  readonly outputs: readonly {
    ids: number[];
    logprobs: (number | undefined)[];
    attention: number[];
    score: number | null;
    reason: string;
  }[];
}

export const engineOptions: EngineOptions = { maxBatchRows: 16, maxEncodeTokens: 256, threads: 1, device: "cpu" };
const clock = { elapsed: () => performance.now(), now: () => Date.now() };

export async function runAlone(model: Seq2SeqModel, job: Job): Promise<Result> {
  const [result] = await runSchedule(model, [job], () => 0, 0);
  if (result === undefined || result === null) throw new Error("a lone sequence did not end");
  return result;
}

/** null for jobs that the schedule cancelled. Jobs join at random steps; `cancelShare` of them are cancelled at a random step. */
export async function runSchedule(
  model: Seq2SeqModel,
  jobs: readonly Job[],
  random: () => number,
  cancelShare: number,
): Promise<(Result | null)[]> {
  const engine = new Engine(model, engineOptions, clock);
  const streamed = jobs.map((): number[] => []);
  const results = jobs.map((): Result | null => null);
  const cancelAt = new Map(jobs.flatMap((_, id) => (random() < cancelShare ? [[id, below(random, 8)] as const] : [])));
  const joinedAt = new Map<number, number>();
  let next = 0;
  for (let step = 0; next < jobs.length || !engine.isIdle; step += 1) {
    for (let joins = next === 0 ? 1 : below(random, 4); joins > 0 && next < jobs.length; joins -= 1, next += 1) {
      engine.submit({ ...(jobs[next] as Job), id: next });
      joinedAt.set(next, step);
    }
    for (const [id, age] of cancelAt) if (joinedAt.get(id) === step - age) engine.cancel(id);
    const { tokens, ended } = await engine.step();
    for (const { id, output, token } of tokens) if (output === 0) streamed[id]?.push(token.id);
    for (const end of ended) results[end.id] = resultOf(end, streamed[end.id] ?? []);
    if (step > 100_000) throw new Error("the schedule does not end");
  }
  return results;
}

function resultOf(end: EngineEnd, streamed: number[]): Result {
  if (!end.ok) throw new Error(end.error.message);
  const outputs = end.outputs.map(({ tokens, score, finishReason }) => ({
    ids: tokens.map((token) => token.id),
    logprobs: tokens.map((token) => token.logprob),
    attention: tokens.flatMap(({ attention = [] }) => [...attention]),
    score,
    reason: finishReason,
  }));
  return { streamed, outputs };
}

/** The largest difference of log-probabilities, attention and scores; throws when ids differ. */
export function largestDifference(actual: Result, expected: Result): number {
  const ids = (result: Result) => JSON.stringify([result.streamed, result.outputs.map((o) => [o.ids, o.reason])]);
  if (ids(actual) !== ids(expected)) throw new Error(`in company ${ids(actual)}\nalone      ${ids(expected)}`);
  const numbers = (result: Result) =>
    result.outputs.flatMap((o) => [...o.logprobs.map((p) => p ?? 0), ...o.attention, o.score ?? 0]);
  const others = numbers(expected);
  if (numbers(actual).length !== others.length) throw new Error("attention of more or fewer tokens than alone");
  return numbers(actual).reduce((most, value, i) => Math.max(most, Math.abs(value - (others[i] ?? Number.NaN))), 0);
}
