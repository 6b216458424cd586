// Watches over the jobs that this node has started, or was asked about, until their logs end: a job that Redis lost is added again, one that BullMQ
// gave up gets its terminal event, one that waits beyond its deadline ends.
import type { JobData, Target } from "./bull-job.js";
import type { JobQueues, JobState } from "./job-queues.js";
import type { AppendRequest } from "../redis/redis-token-log.js";
import { poll } from "../timers.js";
import type { FailureEvent, LogEntry, TokenLog } from "../log/token-log.js";

export interface KeptJob {
  readonly data: JobData;
  readonly target: Target;
  readonly priority: number;
  /** Milliseconds since the epoch. */
  readonly deadlineAt: number | null;
}

export interface JobKeeperOptions {
  readonly log: Pick<TokenLog, "find" | "claim">;
  /** Appends, and pushes to the API nodes that follow. */
  readonly flush: (requests: readonly AppendRequest[]) => Promise<unknown>;
  readonly jobs: Pick<JobQueues, "add" | "state" | "remove">;
  /** Names this node in the claims it takes to end what nobody else ends. */
  readonly node: string;
  /** Silence after which a generation's job is looked after. */
  readonly silenceMs: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** It tries again later. */
  readonly onError: (error: unknown) => void;
}

interface WatchedJob extends KeptJob {
  silentSince: number;
  hasEntries: boolean;
}

/** What is to be done about a silent job. */
export type Care = "wait" | "add" | "deadline" | "fail";

/** Pure. @param isPast the deadline has passed, and no token is logged */
export function careFor(state: JobState, isPast: boolean): Care {
  if (state === "failed") return "fail";
  if (isPast && state !== "active") return "deadline";
  return state === "unknown" || state === "completed" ? "add" : "wait";
}

/** Workers notice deadlines themselves: only jobs that none of them has end here. */
const graceMs = 250;

export class JobKeeper {
  readonly #options: JobKeeperOptions;
  readonly #jobs = new Map<string, WatchedJob>();
  #stopPolling = (): void => undefined;

  constructor(options: JobKeeperOptions) {
    this.#options = options;
  }

  start(everyMs: number): void {
    this.#stopPolling = poll(() => this.sweep(), everyMs);
  }

  close(): void {
    this.#stopPolling();
  }

  keep(job: KeptJob): void {
    this.#jobs.set(job.data.id, { ...job, silentSince: this.#options.now(), hasEntries: false });
  }

  has(id: string): boolean {
    return this.#jobs.has(id);
  }

  /** An entry of its log has come. */
  noteEntry(id: string, { event }: LogEntry): void {
    const job = this.#jobs.get(id);
    if (job === undefined) return;
    job.silentSince = this.#options.now();
    job.hasEntries = true;
    if (event.type !== "token") this.#jobs.delete(id);
  }

  targetOf(id: string): Target | null {
    return this.#jobs.get(id)?.target ?? null;
  }

  /** Looks after all that are silent or late. Redis being away is not their fault: later, then. */
  async sweep(): Promise<void> {
    const now = this.#options.now();
    for (const job of this.#jobs.values()) {
      const isPast = !job.hasEntries && job.deadlineAt !== null && now > job.deadlineAt + graceMs;
      if (!isPast && now - job.silentSince < this.#options.silenceMs) continue;
      try {
        await this.#lookAfter(job, isPast);
      } catch (error) {
        this.#options.onError(error);
        return;
      }
    }
  }

  async #lookAfter(job: WatchedJob, isPast: boolean): Promise<void> {
    const { log, jobs, now } = this.#options;
    const { id } = job.data;
    const care = careFor(await jobs.state(job.target, id), isPast);
    job.silentSince = now();
    if (care === "wait") return;
    const found = await log.find(id);
    if (typeof found === "string" || found.state === "ended") {
      this.#jobs.delete(id);
      return;
    }
    if (care === "add") await this.#addAgain(job);
    if (care === "deadline") await this.#end(job, deadlineFailure);
    if (care === "fail") await this.#end(job, givenUpFailure);
  }

  // Its pick-ups are counted from 1 again, and must all the same be above those of its earlier life.
  async #addAgain({ data, target, priority }: WatchedJob): Promise<void> {
    const { jobs, now } = this.#options;
    await jobs.remove(target, data.id);
    await jobs.add(target, { ...data, attemptsBefore: Math.floor(now() / 1000) }, priority);
  }

  async #end({ data, target }: WatchedJob, failure: FailureEvent): Promise<void> {
    const { log, flush, jobs, node, now } = this.#options;
    const claim = await log.claim(data.id, Math.floor(now() / 1000), node);
    if (typeof claim === "string") return;
    const entries = [{ seq: claim.entries.length + 1, event: failure }];
    await flush([{ id: data.id, writer: claim.writer, entries }]);
    await jobs.remove(target, data.id);
  }
}

const deadlineFailure: FailureEvent = {
  type: "failure",
  kind: "deadline",
  message: "the deadline passed before the first token",
};

/** Its workers died on it again and again, or none of those that took it could go on with it. */
export const givenUpFailure: FailureEvent = {
  type: "failure",
  kind: "generation",
  message: "the generation was given up: workers took it up too often without coming to its end",
};
