// Generations kept in Redis: the record and its tokens in the token log, a small job in BullMQ that sends a worker there.
//
//   start ──▶ worker there? ──▶ admission ──▶ log.create ──▶ job ──▶ … a worker appends … ──▶ follow
import { AppError } from "../errors.js";
import type { Outcome } from "../metrics.js";
import type { Tracing } from "../tracing.js";
import type { Depth, ModelAdmission, Place } from "./admission.js";
import { jobOf, type Target } from "./bull-job.js";
import type { Generations } from "./generations.js";
import type { JobQueues } from "./job-queues.js";
import type { JobKeeper } from "./job-keeper.js";
import type { Found, GenerationRecord, GenerationStatus, KeyBinding, LogEntry, Page, TokenLog } from "./token-log.js";
import { Course, outcomeOfEnd, outcomeOfError, type GenerationMetrics } from "./measured-queue.js";
import type { ControlMessage } from "./worker-control.js";
import type { WorkerDirectory } from "./worker-directory.js";

export type Follow = (id: string, after: number, signal: AbortSignal) => AsyncIterable<LogEntry>;

export interface BullGenerationsOptions {
  readonly log: TokenLog;
  readonly jobs: JobQueues;
  readonly keeper: JobKeeper;
  readonly admission: ModelAdmission;
  readonly directory: WorkerDirectory;
  readonly follow: Follow;
  readonly metrics: GenerationMetrics;
  readonly tracing: Tracing | null;
  /** A generation that wants a webhook has ended. */
  readonly onEnded: (id: string) => Promise<void>;
  readonly digest: (model: string) => Promise<string>;
  /** A hint to one worker; it may be lost. */
  readonly tell: (worker: string, message: ControlMessage) => Promise<void>;
}

export class BullGenerations implements Generations {
  readonly #options: BullGenerationsOptions;
  readonly #closing = new AbortController();
  #isClosed = false;

  constructor(options: BullGenerationsOptions) {
    this.#options = options;
  }

  /** Of what this node has started. */
  get depth(): Depth {
    return this.#options.admission.depth;
  }

  async start(record: GenerationRecord): Promise<void> {
    if (this.#isClosed) throw shuttingDown();
    const course = new Course(record.prepared, this.#options.metrics, this.#options.tracing);
    try {
      const place = await this.begin({ ...record, prepared: course.prepared });
      void this.#watch(record, place, course);
    } catch (error) {
      course.end(outcomeOfError(error));
      throw error;
    }
  }

  /** As start, for a caller who follows the log itself: the place is started at the first entry and left at the end. */
  async begin(record: GenerationRecord): Promise<Place> {
    const { log, jobs, keeper, directory, admission } = this.#options;
    const { id, prepared, priority } = record;
    const target = await this.#target(prepared.model);
    directory.requireWorker(target);
    const place = admission.enter(prepared.model, prepared.sourceIds.length);
    const data = jobOf(id, prepared);
    try {
      await log.create({ ...record, digest: target.digest });
      await jobs.add(target, data, priority).catch((error: unknown) => this.#undo(id, error));
    } catch (error) {
      place.leave();
      throw error;
    }
    keeper.keep({ data, target, priority, deadlineAt: prepared.deadlineAt });
    return { start: () => place.start(), leave: () => place.leave() };
  }

  async *follow(id: string, after: number, signal: AbortSignal): AsyncGenerator<LogEntry, void, void> {
    const { follow, keeper } = this.#options;
    if (!keeper.has(id)) await this.find(id).catch(() => undefined);
    for await (const entry of follow(id, after, signal)) {
      keeper.heard(id, entry);
      yield entry;
    }
  }

  async find(id: string): Promise<Found> {
    const found = await this.#options.log.find(id);
    if (typeof found !== "string" && found.state !== "ended") this.#adopt(found);
    return found;
  }

  async cancel(id: string): Promise<boolean> {
    const { log, jobs, keeper, tell } = this.#options;
    const target = keeper.targetOf(id);
    const { result, worker } = await log.cancel(id);
    if (worker !== null && result === "asked") await tell(worker, { type: "cancel", id }).catch(() => undefined);
    // A worker that picks it up all the same finds that it has ended.
    if (result === "cancelled" && target !== null) await jobs.remove(target, id).catch(() => undefined);
    return result === "cancelled" || result === "asked";
  }

  list(owner: string, page: { readonly before: string | null; readonly limit: number }): Promise<Page> {
    return this.#options.log.list(owner, page);
  }

  bindKey(owner: string, key: string, binding: KeyBinding): Promise<KeyBinding> {
    return this.#options.log.bindKey(owner, key, binding);
  }

  unbindKey(owner: string, key: string): Promise<void> {
    return this.#options.log.unbindKey(owner, key);
  }

  /** Those that run, run on workers. */
  close(): Promise<void> {
    this.#isClosed = true;
    this.#closing.abort(shuttingDown());
    return Promise.resolve();
  }

  // The node that began it may be gone, or have lost Redis before the job was there: somebody asks for it here, so it is looked after here.
  #adopt({ record, top }: GenerationStatus): void {
    const { keeper } = this.#options;
    const { id, priority, prepared, digest } = record;
    if (digest === undefined || keeper.has(id)) return;
    const data = jobOf(id, prepared);
    const target = { model: prepared.model, digest };
    // A deadline is for those without a token.
    keeper.keep({ data, target, priority, deadlineAt: top === 0 ? prepared.deadlineAt : null });
  }

  async #target(model: string): Promise<Target> {
    return { model, digest: await this.#options.digest(model) };
  }

  // The job may be there in spite of the error, if its reply was lost: then its worker finds the generation cancelled.
  async #undo(id: string, error: unknown): Promise<never> {
    await this.#options.log.cancel(id).catch(() => undefined);
    throw error;
  }

  // Nobody else may follow it, but it is measured, its place is to be freed, and its webhook sent.
  async #watch({ id, webhookUrl }: GenerationRecord, place: Place, course: Course): Promise<void> {
    let outcome: Outcome = "cancelled";
    try {
      for await (const { event } of this.follow(id, 0, this.#closing.signal)) {
        place.start();
        if (event.type === "failure") throw new AppError(event.kind, event.message);
        course.see(event);
        if (event.type === "end") outcome = outcomeOfEnd(event);
      }
    } catch (error) {
      // Whoever looks it up is told.
      outcome = this.#isClosed ? "cancelled" : outcomeOfError(error);
    } finally {
      place.leave();
      course.end(outcome);
    }
    if (webhookUrl !== null && !this.#isClosed) await this.#options.onEnded(id).catch(() => undefined);
  }
}

export function shuttingDown(): AppError {
  return new AppError("unavailable", "the server is shutting down", { retryAfterSeconds: 1 });
}
