// Takes the jobs of one model off its queue, as many as its engines have rows for, and runs them; hands them back when this process goes.
//
//   wait ──pick-up──▶ JobRun ──settled──▶ completed (the answer is in the token log; BullMQ learns nothing)
//    ▲                  │ lock lost ▶ stops silently: the queue gives the job to another worker
//    └──at once─────────┤ drain's end ▶ "handover"
//    └──a second later──┘ not for this worker ▶ "elsewhere"
import { DelayedError, WaitingError, Worker, type ConnectionOptions, type Job } from "bullmq";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "../../telemetry/log.js";
import type { ScaleOutMetrics, WorkerLevel } from "../../telemetry/scale-out-metrics.js";
import type { OpenSpan, Tracing } from "../../telemetry/tracing/spans.js";
import { attemptOf, maxStalledCount, maxStartedAttempts, queueName, readJobData } from "./bull-job.js";
import type { JobData, JobTimings, Target } from "./bull-job.js";
import { givenUp } from "./job-keeper.js";
import { JobRun, type JobRunOptions, stopReason, type RunEnd } from "./job-run.js";
import { RunningJobs, concurrencyFor, Watchdog } from "./running-jobs.js";
import { tracedRun } from "./traced-run.js";
type Told = "jobRedelivered" | "lockRenewalFailed" | "handedOver" | "watchdogRestarted";

export interface BullWorkerOptions extends Omit<JobRunOptions, "id" | "attempt" | "onSurprise" | "trace"> {
  readonly target: Target;
  readonly prefix: string;
  /** In role "worker"; BullMQ makes another like it, to block on. */
  readonly connection: ConnectionOptions;
  readonly timings: JobTimings;
  /** Rows its engines decode at a time. */
  readonly capacity: number;
  readonly metrics: Pick<ScaleOutMetrics, Told>;
  readonly logger: Logger;
  readonly tracing: Tracing | null;
  /** Jobs that wait in its queue. */
  readonly depth: () => Promise<number>;
  /** Wakes an idle worker of its queue. */
  readonly nudge: () => Promise<void>;
  /** Deaf for so long, it is replaced. */
  readonly patienceMs: number;
}

type Bull = Worker<JobData, { ok: true }>;

/** With Redis away nothing can be handed over or closed: then the locks run out instead. */
const handoverMs = 5000;

export class BullWorker {
  readonly #options: BullWorkerOptions;
  readonly #logger: Logger;
  readonly #jobs = new RunningJobs(() => this.#adjust());
  readonly #watchdog: Watchdog;
  readonly #deaf: Bull[] = [];
  readonly #timer: NodeJS.Timeout;
  #bull: Bull;
  #taken = 0;
  #isDraining = false;

  constructor(options: BullWorkerOptions) {
    this.#options = options;
    this.#logger = options.logger.child({ model: options.target.model, worker: options.worker });
    this.#watchdog = new Watchdog(options.patienceMs);
    this.#bull = this.#listen();
    this.#timer = setInterval(() => void this.#checkHearing(), options.patienceMs / 6);
    this.#timer.unref();
  }

  /** What it holds. */
  get level(): WorkerLevel {
    const rows = [...this.#jobs.rows].reduce((sum, count) => sum + count, 0);
    return { model: this.#options.target.model, jobs: this.#jobs.size, rows, capacity: this.#options.capacity };
  }

  /** The BullMQ worker of now, for tests that break it. */
  get bull(): Bull {
    return this.#bull;
  }

  cancel(id: string): void {
    this.#jobs.stop(id, "cancelled");
  }

  /** No new jobs; those that run may end until `timeoutMs` have passed, then they go back to the queue. */
  async drain(timeoutMs: number): Promise<void> {
    this.#isDraining = true;
    clearInterval(this.#timer);
    await this.#bull.pause(true);
    // A paused worker goes on waiting for one job more: it would be woken for what it hands over, and nobody else.
    await within(handoverMs, this.#bull.getBackend().disconnectBlocking(true));
    await this.#jobs.idle(timeoutMs);
    this.#jobs.stopAll("handover");
    await this.#jobs.idle(handoverMs);
    await this.#nudge();
    const closing = [this.#bull.close(this.#jobs.size > 0), ...this.#deaf.map((bull) => bull.close(true))];
    await within(handoverMs, Promise.allSettled(closing));
    await this.#nudge();
  }

  // What it gave back may have woken its own connection, which takes nothing any more.
  async #nudge(): Promise<void> {
    await within(handoverMs, this.#options.nudge());
  }

  #listen(): Bull {
    const { target, prefix, connection, timings, worker, capacity } = this.#options;
    // Without a declared third parameter BullMQ gives no signal, and cancelJob does nothing, silently.
    const process = (job: Job<JobData>, token: string | undefined, signal: AbortSignal | undefined) =>
      this.#process(job, token, signal);
    if (process.length !== 3) throw new Error("a processor must declare three parameters");
    const bull: Bull = new Worker(queueName(target), process, {
      connection,
      prefix,
      name: worker,
      concurrency: concurrencyFor(this.#jobs.rows, capacity),
      lockDuration: timings.lockMs,
      stalledInterval: timings.stalledCheckMs,
      maxStalledCount,
      maxStartedAttempts,
      runRetryDelay: 500,
      // Idle workers look by themselves this often, in case the one that was woken died of it.
      drainDelay: 1,
    });
    this.#observe(bull);
    return bull;
  }

  #observe(bull: Bull): void {
    const { metrics, target } = this.#options;
    bull.on("active", (job) => {
      this.#taken += 1;
      this.#jobs.hold(idOf(job), readJobData(job.data)?.rows ?? 1);
    });
    bull.on("stalled", (job) => {
      metrics.jobRedelivered(target.model);
      this.#logger.warn({ generation_id: job, job_id: job }, "job stalled: its worker is gone, it waits again");
    });
    bull.on("lockRenewalFailed", (jobs) => {
      for (const job of jobs) {
        metrics.lockRenewalFailed(target.model);
        this.#logger.warn({ generation_id: job, job_id: job }, "lock lost: another worker goes on");
        bull.cancelJob(job, "lost");
      }
    });
    bull.on("failed", (job, error) => {
      if (job === undefined) return;
      this.#jobs.release(idOf(job));
      this.#logger.error({ generation_id: job.id, job_id: job.id, err: error }, "job failed");
      void this.#giveUp(job);
    });
    bull.on("error", (error) => this.#logger.debug({ err: error }, "worker's connection"));
  }

  async #process(job: Job<JobData>, token: string | undefined, signal: AbortSignal | undefined): Promise<{ ok: true }> {
    const end = await this.#run(job, signal).finally(() => this.#jobs.release(idOf(job)));
    if (end === "handover") await this.#handOver(job, token);
    if (end === "elsewhere") await this.#leave(job, token);
    return { ok: true };
  }

  async #run(job: Job<JobData>, signal: AbortSignal | undefined): Promise<RunEnd> {
    const data = readJobData(job.data);
    // A paused worker may still get the job it was waiting for.
    if (this.#isDraining) return "handover";
    if (data === null) return "elsewhere";
    return tracedRun(this.#options, { data, job }, (span) => this.#go(data, job, signal, span));
  }

  async #go(data: JobData, job: Job<JobData>, signal: AbortSignal | undefined, span: OpenSpan | null): Promise<RunEnd> {
    const fields = { generation_id: data.id, job_id: job.id, attempt: job.attemptsStarted };
    const logger = this.#logger.child({ ...fields, ...span?.logFields });
    const run = new JobRun({
      ...this.#options,
      id: data.id,
      attempt: attemptOf(data, job),
      trace: span?.headers,
      onSurprise: (error) => logger.error({ err: error }, "unexpected error"),
    });
    this.#jobs.begin(data.id, run);
    signal?.addEventListener("abort", () => run.stop(stopReason(signal.reason)), { once: true });
    logger.debug("generation taken");
    const end = await run.run().finally(() => this.#jobs.end(data.id, run));
    logger.debug({ end }, "generation left");
    return end;
  }

  // Where Redis is away, or the lock is lost, the job stalls and comes back that way.
  async #handOver(job: Job<JobData>, token: string | undefined): Promise<never> {
    try {
      await job.moveToWait(token);
      this.#options.metrics.handedOver(this.#options.target.model);
      this.#logger.info({ generation_id: job.id, job_id: job.id }, "generation handed over");
    } catch (error) {
      this.#logger.debug({ job_id: job.id, err: error }, "hand-over failed");
    }
    throw new WaitingError();
  }

  async #leave(job: Job<JobData>, token: string | undefined): Promise<never> {
    const until = Date.now() + this.#options.timings.elsewhereMs;
    const tell = (err: unknown) => this.#logger.debug({ job_id: job.id, err }, "not left to others");
    await job.moveToDelayed(until, token).catch(tell);
    throw new DelayedError();
  }

  /** The queue gave the job up: whoever notices ends its log. */
  async #giveUp(job: Job<JobData>): Promise<void> {
    const { log, writer, worker } = this.#options;
    const data = readJobData(job.data);
    if (data === null) return;
    try {
      const claim = await log.claim(data.id, attemptOf(data, job), worker);
      if (typeof claim === "string") return;
      const tail = writer.open(claim, { onCancelled: () => undefined, onRefused: () => undefined });
      tail.append(givenUp);
      await tail.written();
    } catch (error) {
      this.#logger.warn({ generation_id: data.id, err: error }, "the end of a failed job is not logged yet");
    }
  }

  #adjust(): void {
    this.#bull.concurrency = concurrencyFor(this.#jobs.rows, this.#options.capacity);
  }

  async #checkHearing(): Promise<void> {
    this.#jobs.sweep();
    const depth = await this.#options.depth().catch(() => 0);
    if (this.#isDraining) return;
    const hasRoom = this.#jobs.size < this.#bull.concurrency;
    if (!this.#watchdog.isDeaf({ depth, hasRoom, taken: this.#taken }, performance.now())) return;
    this.#options.metrics.watchdogRestarted(this.#options.target.model);
    this.#logger.warn({ depth }, "worker takes no jobs: it is made anew");
    // What it runs it finishes: only its ears are lost.
    const deaf = this.#bull;
    this.#deaf.push(deaf);
    this.#bull = this.#listen();
    await deaf.pause(true);
  }
}

async function within(ms: number, work: Promise<unknown>): Promise<void> {
  await Promise.race([work.catch(() => undefined), sleep(ms, undefined, { ref: false })]);
}

function idOf(job: Job<JobData>): string {
  return job.id ?? "";
}
