// Generations of one process: admitted by its queue, run to their end in the background, every event stored in the token log of the process.
//
//   start ──queue──▶ accepted ──▶ create ──▶ events ──append──▶ log ──▶ followers, now and later
//                                              └── error, cancel, close ──▶ a failure is the last entry
import { setMaxListeners } from "node:events";
import { AppError, shuttingDown } from "../../errors.js";
import type { GenerationEvent } from "../../generation.js";
import { follow } from "../log/follow.js";
import type { Generations } from "../generations.js";
import type { MemoryTokenLog } from "./memory-token-log.js";
import type { GenerationQueue } from "../queue.js";
import type {
  KeyBinding,
  LogEntry,
  LogEvent,
  LookupResult,
  LookupRecord,
  LookupStatus,
  Page,
} from "../log/token-log.js";
import { cancelledFailure, toLookupResult } from "../log/token-log.js";

export interface MemoryGenerationsOptions {
  /** How long close() lets generations run before it ends them. */
  readonly drainTimeoutMs: number;
  /** A generation has ended. */
  onEnded(status: LookupStatus): void;
  /** Why it failed: its log holds only what a client may read. */
  onFailed(error: AppError, id: string): void;
}

interface Running {
  readonly controller: AbortController;
  readonly done: Promise<void>;
}

export class MemoryGenerations implements Generations {
  readonly #queue: GenerationQueue;
  readonly #log: MemoryTokenLog;
  readonly #options: MemoryGenerationsOptions;
  readonly #running = new Map<string, Running>();
  #isClosed = false;

  constructor(queue: GenerationQueue, log: MemoryTokenLog, options: MemoryGenerationsOptions) {
    this.#queue = queue;
    this.#log = log;
    this.#options = options;
  }

  async start(record: LookupRecord): Promise<void> {
    if (this.#isClosed) throw shuttingDown();
    if (this.#running.has(record.id)) return;
    const controller = new AbortController();
    setMaxListeners(0, controller.signal);
    const events = this.#queue.submit(record.prepared, controller.signal)[Symbol.asyncIterator]();
    // The first event says that it is admitted; a full queue throws here.
    await events.next();
    await this.#log.create(record);
    const done = this.#run(record.id, events).finally(() => this.#running.delete(record.id));
    this.#running.set(record.id, { controller, done });
  }

  follow(id: string, after: number, signal: AbortSignal): AsyncIterable<LogEntry> {
    return follow(this.#log, this.#log.watch, id, after, signal);
  }

  async find(id: string): Promise<LookupResult> {
    return toLookupResult(await this.#log.find(id));
  }

  async cancel(id: string): Promise<boolean> {
    const { result } = await this.#log.cancel(id);
    this.#running.get(id)?.controller.abort(new AppError("cancelled", cancelledFailure.message));
    return result === "asked" || result === "cancelled";
  }

  list(owner: string, page: { readonly before: string | null; readonly limit: number }): Promise<Page> {
    return this.#log.list(owner, page);
  }

  bindKey(owner: string, key: string, binding: KeyBinding): Promise<KeyBinding> {
    return this.#log.bindKey(owner, key, binding);
  }

  unbindKey(owner: string, key: string): Promise<void> {
    return this.#log.unbindKey(owner, key);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const running = [...this.#running.values()];
    const timer = setTimeout(() => {
      for (const { controller } of running) controller.abort(shuttingDown());
    }, this.#options.drainTimeoutMs);
    await Promise.all(running.map(({ done }) => done));
    clearTimeout(timer);
  }

  async #run(id: string, events: AsyncIterator<GenerationEvent>): Promise<void> {
    const writer = new Writer(this.#log, id);
    try {
      for (let next = await events.next(); next.done !== true; next = await events.next()) {
        if (next.value.type !== "accepted") await writer.write(next.value);
      }
    } catch (thrown) {
      const error = thrown instanceof AppError ? thrown : new AppError("internal", "internal error", { cause: thrown });
      if (await writer.fail(error)) this.#options.onFailed(error, id);
    } finally {
      await events.return?.();
    }
    const status = await this.find(id);
    if (typeof status === "object") this.#options.onEnded(status);
  }
}

/** Appends what one run yields. The claim, and with it "running", comes with the first event. */
class Writer {
  readonly #log: MemoryTokenLog;
  readonly #id: string;
  #name: string | null = null;
  #lastSeq = 0;

  constructor(log: MemoryTokenLog, id: string) {
    this.#log = log;
    this.#id = id;
  }

  /** Throws AppError "cancelled" when the log takes nothing more. */
  async write(event: LogEvent): Promise<void> {
    const seq = event.type === "token" ? event.seq : this.#lastSeq + 1;
    const name = await this.#claimOnce();
    const { result, lastSeq } = await this.#log.append(this.#id, name, [{ seq, event }]);
    if (result === "gap") throw new AppError("internal", "internal error", { cause: `event ${seq} after ${lastSeq}` });
    if (result !== "ok") throw new AppError("cancelled", cancelledFailure.message);
    this.#lastSeq = lastSeq;
  }

  /** False when the log had ended already: by a cancel while it was queued. */
  async fail({ kind, message }: AppError): Promise<boolean> {
    try {
      await this.write({ type: "failure", kind, message });
      return true;
    } catch {
      return false;
    }
  }

  async #claimOnce(): Promise<string> {
    if (this.#name !== null) return this.#name;
    const claim = await this.#log.claim(this.#id, 1, "");
    if (typeof claim === "string") throw new AppError("cancelled", cancelledFailure.message);
    this.#name = claim.writer;
    return claim.writer;
  }
}
