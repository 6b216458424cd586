// A pick-up of a job as spans, where traces are on: what it waited in Redis, then this worker's run with whatever the engine does below it.
import { record, type OpenSpan, type Tracing } from "../../telemetry/tracing/spans.js";
import { runStart, waitInRedis } from "../../telemetry/tracing/job-spans.js";
import type { JobData, Target } from "./bull-job.js";

export interface RunPlace {
  readonly tracing: Tracing | null;
  readonly target: Target;
  readonly worker: string;
}

/** What BullMQ knows of a pick-up. */
export interface TakenJob {
  readonly data: JobData;
  readonly job: { readonly attemptsStarted: number; readonly timestamp: number };
}

/** A job without a trace is from a node that traces nothing, or an older one: then the run is a trace of its own. */
export async function tracedRun<T extends string>(
  { tracing, target, worker }: RunPlace,
  { data, job }: TakenJob,
  run: (span: OpenSpan | null) => Promise<T>,
): Promise<T> {
  if (tracing === null) return run(null);
  const times = { addedAt: job.timestamp, takenAt: Date.now() };
  const pickUp = { id: data.id, model: target.model, worker, attempt: job.attemptsStarted, ...times };
  const span = tracing.start(runStart(pickUp), data.trace);
  const wait = waitInRedis(pickUp);
  if (wait !== null && data.trace !== undefined) record(tracing, wait, data.trace);
  try {
    const end = await run(span);
    span.end({ attributes: { "seqserve.run.end": end } });
    return end;
  } catch (error) {
    span.end({ error: "internal" });
    throw error;
  }
}
