// What travels through BullMQ, and the settings that both sides must agree on. Small on purpose: the record and its tokens live in the token log. Pure.
import type { Decoding, Prepared, TraceHeaders } from "../../generation.js";

/** A job of this schema is understood here; later ones are left to newer workers. */
export const jobSchema = 1;

export interface JobData {
  readonly schema: typeof jobSchema;
  /** The generation's, and the job's own. */
  readonly id: string;
  /** Rows it will hold in the engine at most: workers count them before they read the record. */
  readonly rows: number;
  /** Added to BullMQ's count of pick-ups: a job that was lost and added again must count on above its old claims. */
  readonly attemptsBefore: number;
  /** The generation's span; absent where nothing is traced, and from older nodes. */
  readonly trace?: TraceHeaders;
}

/** Model and digest of its files: a job goes to workers that have exactly these. */
export interface Target {
  readonly model: string;
  readonly digest: string;
}

/** Worker and queue settings of one system. Recovery after a kill takes about lockMs + stalledCheckMs. */
export interface JobTimings {
  readonly lockMs: number;
  readonly stalledCheckMs: number;
  /** Delay before somebody tries again a job that is not for this worker. */
  readonly elsewhereMs: number;
}

export const usualJobTimings: JobTimings = { lockMs: 3000, stalledCheckMs: 1000, elsewhereMs: 1000 };

/** A job whose workers died more often than this kills workers: it fails. */
export const maxStalledCount = 5;
/** Hand-overs and jobs left to others count as pick-ups too. */
export const maxStartedAttempts = 50;
export const maxEvents = 1000;
/** Failed jobs that BullMQ remembers: seconds, and how many. */
export const keptFailures = { age: 3600, count: 500 };

/** One queue per model and digest. Names of models may hold anything; a queue's must not hold ":". */
export function queueName({ model, digest }: Target): string {
  return `jobs-${encodeURIComponent(model)}-${digest.slice(0, 12)}`;
}

/** Null when it is not a job of this schema. */
export function readJobData(data: unknown): JobData | null {
  if (typeof data !== "object" || data === null) return null;
  const { schema, id, rows, attemptsBefore, trace } = data as Partial<JobData>;
  if (schema !== jobSchema || typeof id !== "string") return null;
  return { schema, id, rows: rows ?? 1, attemptsBefore: attemptsBefore ?? 0, ...(isTrace(trace) && { trace }) };
}

function isTrace(value: unknown): value is TraceHeaders {
  return typeof (value as TraceHeaders | null | undefined)?.traceparent === "string";
}

export function jobOf(id: string, { decoding, trace }: Prepared): JobData {
  const job = { schema: jobSchema, id, rows: rowsOf(decoding), attemptsBefore: 0 } as const;
  return trace === undefined ? job : { ...job, trace };
}

/** Counts a job's pick-ups over all its lives. */
export function attemptOf(data: JobData, job: { readonly attemptsStarted: number }): number {
  return data.attemptsBefore + job.attemptsStarted;
}

export function rowsOf({ numBeams, numReturnSequences }: Decoding): number {
  return Math.max(numBeams, numReturnSequences);
}
