// Takes the jobs of one model off its queue, as many as its engines have rows for; hands them back when this process goes, and replaces a
// BullMQ worker that has stalled. What becomes of a job is in job-processor.ts.
//
//   wait ──pick-up──▶ JobProcessor        lock lost ▶ the run stops silently: the queue gives the job to another worker
//    ▲                     │              drain ▶ no new jobs; what still runs after its time is handed over
//    └──── handed over ────┘
import { Worker, type ConnectionOptions, type Job } from "bullmq";
import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "../../telemetry/log.js";
import type { ScaleOutMetrics, WorkerLevel } from "../../telemetry/scale-out-metrics.js";
import { maxStalledCount, maxStartedAttempts, queueName, readJobData, type JobData } from "./bull-job.js";
import { idOf, JobProcessor, type JobProcessorOptions } from "./job-processor.js";
import { RunningJobs, concurrencyFor } from "./running-jobs.js";
import { Watchdog } from "./watchdog.js";

type WorkerMetrics = "jobRedelivered" | "lockRenewalFailed" | "handedOver" | "watchdogRestarted";

export interface BullWorkerOptions extends JobProcessorOptions {
  readonly prefix: string;
  /** In role "worker"; BullMQ makes another like it, to block on. */
  readonly connection: ConnectionOptions;
  /** Rows its engines decode at a time. */
  readonly capacity: number;
  readonly metrics: Pick<ScaleOutMetrics, WorkerMetrics>;
  /** Jobs that wait in its queue. */
  readonly depth: () => Promise<number>;
  /** Wakes an idle worker of its queue. */
  readonly nudge: () => Promise<void>;
  /** A worker that has room but takes no job for this long, though some wait, is replaced. */
  readonly stallTimeoutMs: number;
}

type Bull = Worker<JobData, { ok: true }>;

/** With Redis away nothing can be handed over or closed: then the locks run out instead. */
const handoverMs = 5000;

export class BullWorker {
  readonly #options: BullWorkerOptions;
  readonly #logger: Logger;
  readonly #jobs = new RunningJobs(() => this.#adjust());
  readonly #processor: JobProcessor;
  readonly #watchdog: Watchdog;
  readonly #stalled: Bull[] = [];
  readonly #timer: NodeJS.Timeout;
  #bull: Bull;
  #taken = 0;
  #isDraining = false;

  constructor(options: BullWorkerOptions) {
    this.#options = options;
    this.#logger = options.logger.child({ model: options.target.model, worker: options.worker });
    this.#processor = new JobProcessor({ ...options, logger: this.#logger }, this.#jobs);
    this.#watchdog = new Watchdog(options.stallTimeoutMs);
    this.#bull = this.#listen();
    this.#timer = setInterval(() => void this.#replaceIfStalled(), options.stallTimeoutMs / 6);
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
    this.#processor.drain();
    clearInterval(this.#timer);
    await this.#bull.pause(true);
    // A paused worker goes on waiting for one job more: it would be woken for what it hands over, and nobody else.
    await waitAtMost(handoverMs, this.#bull.getBackend().disconnectBlocking(true));
    await this.#jobs.idle(timeoutMs);
    this.#jobs.stopAll("handover");
    await this.#jobs.idle(handoverMs);
    await this.#nudge();
    const closing = [this.#bull.close(this.#jobs.size > 0), ...this.#stalled.map((bull) => bull.close(true))];
    await waitAtMost(handoverMs, Promise.allSettled(closing));
    await this.#nudge();
  }

  // What it gave back may have woken its own connection, which takes nothing any more.
  async #nudge(): Promise<void> {
    await waitAtMost(handoverMs, this.#options.nudge());
  }

  #listen(): Bull {
    const { target, prefix, connection, timings, worker, capacity } = this.#options;
    // Without a declared third parameter BullMQ gives no signal, and cancelJob does nothing, silently.
    const process = (job: Job<JobData>, token: string | undefined, signal: AbortSignal | undefined) =>
      this.#processor.process(job, token, signal);
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
      void this.#processor.giveUp(job);
    });
    bull.on("error", (error) => this.#logger.debug({ err: error }, "worker's connection"));
  }

  #adjust(): void {
    this.#bull.concurrency = concurrencyFor(this.#jobs.rows, this.#options.capacity);
  }

  async #replaceIfStalled(): Promise<void> {
    this.#jobs.sweep();
    const depth = await this.#options.depth().catch(() => 0);
    if (this.#isDraining) return;
    const hasRoom = this.#jobs.size < this.#bull.concurrency;
    if (!this.#watchdog.isStalled({ depth, hasRoom, taken: this.#taken }, performance.now())) return;
    this.#options.metrics.watchdogRestarted(this.#options.target.model);
    this.#logger.warn({ depth }, "worker takes no jobs: it is made anew");
    // It finishes the jobs that it runs, and takes no others.
    const stalled = this.#bull;
    this.#stalled.push(stalled);
    this.#bull = this.#listen();
    await stalled.pause(true);
  }
}

async function waitAtMost(ms: number, work: Promise<unknown>): Promise<void> {
  await Promise.race([work.catch(() => undefined), sleep(ms, undefined, { ref: false })]);
}
