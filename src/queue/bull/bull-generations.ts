// Generations kept in Redis: the record and its tokens in the token log, a small job in BullMQ that sends a worker there.
//
//   start ──▶ worker there? ──▶ admission ──▶ followNew ──▶ log.create, job ──▶ … a worker appends … ──▶ entries
import { shuttingDown } from "../../errors.js";
import type { Outcome } from "../../telemetry/metrics.js";
import type { Tracing } from "../../telemetry/tracing/spans.js";
import type { Depth, ModelAdmission } from "../admission.js";
import { jobOf, type JobData, type Target } from "./bull-job.js";
import type { Generations } from "../generations.js";
import type { JobQueues } from "./job-queues.js";
import type { JobKeeper } from "./job-keeper.js";
import { eventsOf, toLookupResult } from "../log/token-log.js";
import type {
  GenerationRecord,
  GenerationStatus,
  KeyBinding,
  LogEntry,
  LookupResult,
  LookupRecord,
  Page,
} from "../log/token-log.js";
import type { SharedLog } from "../redis/shared-log.js";
import { Measurement, outcomeOfEnd, outcomeOfError, type GenerationMetrics } from "../measurement.js";
import type { WorkerDirectory, ControlMessage } from "./workers.js";

/** A generation that has been started, for whoever reads its log. */
export interface StartedGeneration {
  /** All of its log, once. */
  entries(signal: AbortSignal): AsyncIterable<LogEntry>;
  /** Its last entry was read. */
  readonly hasEnded: boolean;
  /** Frees its place in the queue. Nobody reads it any more. */
  leave(): void;
}

export interface BullGenerationsOptions {
  readonly shared: Pick<SharedLog, "log" | "followNew" | "create" | "follow">;
  readonly jobs: JobQueues;
  readonly keeper: JobKeeper;
  readonly admission: ModelAdmission;
  readonly directory: WorkerDirectory;
  readonly metrics: GenerationMetrics;
  readonly tracing: Tracing | null;
  /** A generation that wants a webhook has ended. */
  readonly onEnded: (id: string) => Promise<void>;
  readonly digest: (model: string) => Promise<string>;
  /** A hint to one worker; it may be lost. */
  readonly sendControl: (worker: string, message: ControlMessage) => Promise<void>;
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

  async start(record: LookupRecord): Promise<void> {
    if (this.#isClosed) throw shuttingDown();
    const measurement = new Measurement(record.prepared, this.#options.metrics, this.#options.tracing);
    try {
      const started = await this.startForReader({ ...record, prepared: measurement.prepared });
      void this.#watch(record, started, measurement);
    } catch (error) {
      measurement.end(outcomeOfError(error));
      throw error;
    }
  }

  /** As start, for a caller who reads the log itself and leaves it when done. */
  async startForReader(record: GenerationRecord): Promise<StartedGeneration> {
    const { shared, keeper, directory, admission } = this.#options;
    const { id, prepared, priority } = record;
    const target = await this.#target(prepared.model);
    directory.requireWorker(target);
    const ticket = admission.enter(prepared.model, prepared.sourceIds.length);
    const follower = shared.followNew(id);
    const leave = () => {
      follower.close();
      ticket.leave();
    };
    const data = jobOf(id, prepared);
    try {
      await this.#send({ ...record, digest: target.digest }, target, data);
    } catch (error) {
      leave();
      throw error;
    }
    keeper.keep({ data, target, priority, deadlineAt: prepared.deadlineAt });
    let hasEnded = false;
    const onEntry = ({ event }: LogEntry) => {
      ticket.start();
      hasEnded = event.type !== "token";
    };
    return {
      entries: (signal) => this.#entries(id, follower.entries(signal), onEntry),
      get hasEnded() {
        return hasEnded;
      },
      leave,
    };
  }

  async *follow(id: string, after: number, signal: AbortSignal): AsyncGenerator<LogEntry, void, void> {
    const { shared, keeper } = this.#options;
    if (!keeper.has(id)) await this.find(id).catch(() => undefined);
    yield* this.#entries(id, shared.follow(id, after, signal));
  }

  async find(id: string): Promise<LookupResult> {
    const found = await this.#options.shared.log.find(id);
    if (typeof found !== "string" && found.state !== "ended") this.#adopt(found);
    return toLookupResult(found);
  }

  async cancel(id: string): Promise<boolean> {
    const { shared, jobs, keeper, sendControl } = this.#options;
    const target = keeper.targetOf(id);
    const { result, worker } = await shared.log.cancel(id);
    if (worker !== null && result === "asked") await sendControl(worker, { type: "cancel", id }).catch(() => undefined);
    // A worker that picks it up all the same finds that it has ended.
    if (result === "cancelled" && target !== null) await jobs.remove(target, id).catch(() => undefined);
    return result === "cancelled" || result === "asked";
  }

  list(owner: string, page: { readonly before: string | null; readonly limit: number }): Promise<Page> {
    return this.#options.shared.log.list(owner, page);
  }

  bindKey(owner: string, key: string, binding: KeyBinding): Promise<KeyBinding> {
    return this.#options.shared.log.bindKey(owner, key, binding);
  }

  unbindKey(owner: string, key: string): Promise<void> {
    return this.#options.shared.log.unbindKey(owner, key);
  }

  /** Those that run, run on workers. */
  close(): Promise<void> {
    this.#isClosed = true;
    this.#closing.abort(shuttingDown());
    return Promise.resolve();
  }

  // The node that began it may be gone, or have lost Redis before the job was there: somebody asks for it here, so it is looked after here.
  #adopt({ record, lastSeq }: GenerationStatus): void {
    const { keeper } = this.#options;
    const { id, priority, prepared, digest } = record;
    if (digest === undefined || keeper.has(id)) return;
    const data = jobOf(id, prepared);
    const target = { model: prepared.model, digest };
    // A deadline is for those without a token.
    keeper.keep({ data, target, priority, deadlineAt: lastSeq === 0 ? prepared.deadlineAt : null });
  }

  async *#entries(
    id: string,
    entries: AsyncIterable<LogEntry>,
    onEntry: (entry: LogEntry) => void = () => undefined,
  ): AsyncGenerator<LogEntry, void, void> {
    const { keeper } = this.#options;
    for await (const entry of entries) {
      keeper.noteEntry(id, entry);
      onEntry(entry);
      yield entry;
    }
  }

  async #target(model: string): Promise<Target> {
    return { model, digest: await this.#options.digest(model) };
  }

  // In one flight: they share a connection, so whoever gets the job finds the log. After an error either may be there in spite of it: then a worker
  // finds the generation cancelled, or gone.
  async #send(record: GenerationRecord, target: Target, data: JobData): Promise<void> {
    const { shared, jobs } = this.#options;
    const sent = await Promise.allSettled([shared.create(record), jobs.add(target, data, record.priority)]);
    const failed = sent.find((one) => one.status === "rejected");
    if (failed === undefined) return;
    await shared.log.cancel(record.id).catch(() => undefined);
    throw failed.reason;
  }

  // Even if nobody else follows it, it is measured, its place is freed, and its webhook sent.
  async #watch(
    { id, webhookUrl }: GenerationRecord,
    started: StartedGeneration,
    measurement: Measurement,
  ): Promise<void> {
    let outcome: Outcome = "cancelled";
    try {
      for await (const event of eventsOf(started.entries(this.#closing.signal))) {
        measurement.see(event);
        if (event.type === "end") outcome = outcomeOfEnd(event);
      }
    } catch (error) {
      // The log says why, to whoever looks the generation up.
      outcome = this.#isClosed ? "cancelled" : outcomeOfError(error);
    } finally {
      started.leave();
      measurement.end(outcome);
    }
    if (webhookUrl !== null && !this.#isClosed) await this.#options.onEnded(id).catch(() => undefined);
  }
}
