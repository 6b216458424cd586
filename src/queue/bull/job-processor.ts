// What a worker does with one job of BullMQ: runs it and completes it, gives it back to the queue, or ends the log of one that the queue gave up.
//
//   process ──▶ JobRun ──settled──▶ completed (the answer is in the token log; BullMQ learns nothing)
//                  │ "handover"  ▶ back to the queue at once
//                  └ "elsewhere" ▶ back to the queue, for another worker, a second later
import { DelayedError, WaitingError, type Job } from "bullmq";
import type { Logger } from "../../telemetry/log.js";
import type { ScaleOutMetrics } from "../../telemetry/scale-out-metrics.js";
import { record, type OpenSpan, type Tracing } from "../../telemetry/tracing/spans.js";
import { runStart, waitInRedis } from "../../telemetry/tracing/job-spans.js";
import { attemptOf, readJobData, type JobData, type JobTimings, type Target } from "./bull-job.js";
import { givenUpFailure } from "./job-keeper.js";
import { JobRun, type JobRunOptions, type RunEnd } from "./job-run.js";
import type { RunningJobs } from "./running-jobs.js";

export interface JobProcessorOptions extends Omit<JobRunOptions, "id" | "attempt" | "onSurprise" | "trace"> {
  readonly target: Target;
  readonly timings: JobTimings;
  readonly metrics: Pick<ScaleOutMetrics, "handedOver">;
  /** Its lines name model and worker. */
  readonly logger: Logger;
  readonly tracing: Tracing | null;
}

export class JobProcessor {
  readonly #options: JobProcessorOptions;
  readonly #jobs: RunningJobs;
  #isDraining = false;

  constructor(options: JobProcessorOptions, jobs: RunningJobs) {
    this.#options = options;
    this.#jobs = jobs;
  }

  /** From now on jobs are handed over: a paused worker may still get the one it was waiting for. */
  drain(): void {
    this.#isDraining = true;
  }

  /** Throws BullMQ's WaitingError or DelayedError for a job that went back to the queue. @param signal aborted when its lock is lost */
  async process(job: Job<JobData>, token: string | undefined, signal: AbortSignal | undefined): Promise<{ ok: true }> {
    const end = await this.#run(job, signal).finally(() => this.#jobs.release(idOf(job)));
    if (end === "handover") await this.#handOver(job, token);
    if (end === "elsewhere") await this.#leaveToOthers(job, token);
    return { ok: true };
  }

  /** The queue gave the job up: whoever notices ends its log. */
  async giveUp(job: Job<JobData>): Promise<void> {
    const { log, writer, worker, logger } = this.#options;
    const data = readJobData(job.data);
    if (data === null) return;
    try {
      const claim = await log.claim(data.id, attemptOf(data, job), worker);
      if (typeof claim === "string") return;
      const tail = writer.open(claim, { onCancelled: () => undefined, onRefused: () => undefined });
      tail.append(givenUpFailure);
      await tail.written();
    } catch (error) {
      logger.warn({ generation_id: data.id, err: error }, "the end of a failed job is not logged yet");
    }
  }

  async #run(job: Job<JobData>, signal: AbortSignal | undefined): Promise<RunEnd> {
    const data = readJobData(job.data);
    if (this.#isDraining) return "handover";
    if (data === null) return "elsewhere";
    return tracedRun(this.#options, { data, job }, (span) => this.#runJob({ data, job, span }, signal));
  }

  async #runJob(
    { data, job, span }: { readonly data: JobData; readonly job: Job<JobData>; readonly span: OpenSpan | null },
    signal: AbortSignal | undefined,
  ): Promise<RunEnd> {
    const fields = { generation_id: data.id, job_id: job.id, attempt: job.attemptsStarted };
    const logger = this.#options.logger.child({ ...fields, ...span?.logFields });
    const run = new JobRun({
      ...this.#options,
      id: data.id,
      attempt: attemptOf(data, job),
      trace: span?.headers,
      onSurprise: (error) => logger.error({ err: error }, "unexpected error"),
    });
    this.#jobs.begin(data.id, run);
    signal?.addEventListener("abort", () => run.stop("lost"), { once: true });
    logger.debug("generation taken");
    const end = await run.run().finally(() => this.#jobs.end(data.id, run));
    logger.debug({ end }, "generation left");
    return end;
  }

  // Where Redis is away, or the lock is lost, the job stalls and comes back that way.
  async #handOver(job: Job<JobData>, token: string | undefined): Promise<never> {
    const { metrics, target, logger } = this.#options;
    try {
      await job.moveToWait(token);
      metrics.handedOver(target.model);
      logger.info({ generation_id: job.id, job_id: job.id }, "generation handed over");
    } catch (error) {
      logger.debug({ job_id: job.id, err: error }, "hand-over failed");
    }
    throw new WaitingError();
  }

  async #leaveToOthers(job: Job<JobData>, token: string | undefined): Promise<never> {
    const { timings, logger } = this.#options;
    const until = Date.now() + timings.elsewhereMs;
    const note = (err: unknown) => logger.debug({ job_id: job.id, err }, "not left to others");
    await job.moveToDelayed(until, token).catch(note);
    throw new DelayedError();
  }
}

/** A pick-up as spans: what it waited in Redis, then this run with whatever the engine does below it. A job without a trace is from a node that traces nothing, or an older one: then the run is a trace of its own. */
async function tracedRun<T extends string>(
  { tracing, target, worker }: Pick<JobProcessorOptions, "tracing" | "target" | "worker">,
  { data, job }: { readonly data: JobData; readonly job: Job<JobData> },
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

export function idOf(job: Job<JobData>): string {
  return job.id ?? "";
}
