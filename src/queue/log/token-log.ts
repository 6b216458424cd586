// The truth about generations that may outlive their request: one record and one numbered log each. The contract of MemoryTokenLog and RedisTokenLog,
// and what both agree on besides.
//
//   create ──▶ queued ──claim──▶ running ──append … append(terminal)──▶ ended ──GENERATION_TTL──▶ expired ──▶ gone
//                 └──cancel──▶ ended          claim again: a new writer, the old one is fenced
import type { EndEvent, GenerationEvent, Prepared, TokenEvent } from "../../generation.js";
import type { Parameters } from "../../parameters.js";
import { AppError, refuse, type ErrorKind } from "../../errors.js";

/** A generation that failed or was cancelled: kind "cancelled" for the latter. */
export interface FailureEvent {
  readonly type: "failure";
  readonly kind: ErrorKind;
  readonly message: string;
}

/** What a log holds: tokens, then one end or one failure, which is its last entry. */
export type LogEvent = TokenEvent | EndEvent | FailureEvent;

/** Numbered by seq, from 1 without gaps; a token's is its own, the terminal event's is one more than the last token's. */
export interface LogEntry {
  readonly seq: number;
  readonly event: LogEvent;
}

/** What a generation is, fixed at its start. Plain JSON. */
export interface GenerationRecord {
  /** 128 random bits, hexadecimal; the same as prepared.id. */
  readonly id: string;
  /** Whose it is: a digest of the caller's key, or "" on a server without keys. */
  readonly owner: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
  /** 1 (first) to 10. */
  readonly priority: number;
  /** Of the model's files, where jobs go by it. */
  readonly digest?: string;
  readonly prepared: Prepared;
  /** What an answer needs besides; null where only the generation's own request reads it. */
  readonly request: RequestOfRecord | null;
  readonly webhookUrl: string | null;
}

export interface RequestOfRecord {
  readonly text: string;
  readonly parameters: Parameters;
}

/** Of a generation that can be looked up. */
export interface LookupRecord extends GenerationRecord {
  readonly request: RequestOfRecord;
}

export type GenerationState = "queued" | "running" | "ended";

/** A generation as it stands. */
export interface GenerationStatus {
  readonly record: GenerationRecord;
  readonly state: GenerationState;
  /** Of the last entry, 0 for none. */
  readonly lastSeq: number;
  /** The last entry once it has ended. */
  readonly terminal: EndEvent | FailureEvent | null;
  /** Somebody asked to stop it. */
  readonly isCancelled: boolean;
}

/** "expired": it was there, its log is not kept any longer. "gone": never heard of it. */
export type FindResult = GenerationStatus | "expired" | "gone";

export interface LookupStatus extends GenerationStatus {
  readonly record: LookupRecord;
}

/** "gone" also for a generation that only its own request reads. */
export type LookupResult = LookupStatus | "expired" | "gone";

/** A right to write, taken from whoever had it before. */
export interface Claim {
  /** Names this claim in each append; another claim makes it void. */
  readonly writer: string;
  readonly record: GenerationRecord;
  /** What earlier writers appended: the new one goes on behind it. */
  readonly entries: readonly LogEntry[];
  /** What those writers called the arithmetic they choose tokens by; the new one's own when there are no entries. */
  readonly variant: string;
  readonly isCancelled: boolean;
}

/** Why nothing may be written: it has ended (or was cancelled while queued); a later attempt has it; its log is not there. */
export type Refusal = "ended" | "fenced" | "gone";

export interface Appended {
  /** "gap": the first entry is not the last one's successor: the log lost entries, append again those after lastSeq. */
  readonly result: "ok" | "gap" | Refusal;
  /** Of the last entry now. */
  readonly lastSeq: number;
  /** Somebody asked to stop it: end it with a failure of kind "cancelled". */
  readonly isCancelled: boolean;
}

export interface Reading {
  /** Entries with a seq above `after`, in order. */
  readonly entries: readonly LogEntry[];
  readonly state: GenerationState | "expired" | "gone";
  readonly lastSeq: number;
}

/** A page of one owner's generations, newest first. */
export interface Page {
  readonly statuses: readonly GenerationStatus[];
  /** Pass it as `before` for the next page; null at the end. */
  readonly next: string | null;
}

export interface PageRequest {
  /** A Page's next, or null for the newest. */
  readonly before: string | null;
  readonly limit: number;
}

export interface Cancelled {
  /**
   * "cancelled": it was queued and ends here with a failure of kind "cancelled"; "asked": its writer learns it by its next claim or append,
   * and a message to `worker` reaches it sooner.
   */
  readonly result: "cancelled" | "asked" | "ended" | "gone";
  /** The name its last claim gave; null unless "asked". */
  readonly worker: string | null;
}

/** What an Idempotency-Key is bound to. */
export interface KeyBinding {
  readonly id: string;
  readonly bodyHash: string;
}

/** All methods throw AppError "unavailable" when the log can't be reached. */
export interface TokenLog {
  /** A repeat is harmless: what is there already stays as it is. */
  create(record: GenerationRecord): Promise<void>;
  find(id: string): Promise<FindResult>;
  /** @param attempt counts pick-ups of the job from 1: a lower one than the last claim's is refused as "fenced" */
  claim(id: string, attempt: number, worker: string, variant?: string): Promise<Claim | Refusal>;
  /**
   * Skips what is there already (a repeat is harmless, also of the terminal entry), refuses gaps. Atomic: all entries or none.
   * No entries at all: asks for isCancelled and keeps the generation from expiring.
   */
  append(id: string, writer: string, entries: readonly LogEntry[]): Promise<Appended>;
  read(id: string, after: number): Promise<Reading>;
  cancel(id: string): Promise<Cancelled>;
  /** Those with a request to look up, not expired. Throws AppError "validation" for a `before` that no page gave. */
  list(owner: string, page: PageRequest): Promise<Page>;
  /** Binds an owner's Idempotency-Key, or returns what it is bound to already. Kept for GENERATION_TTL. */
  bindKey(owner: string, key: string, binding: KeyBinding): Promise<KeyBinding>;
  /** Undoes bindKey when the start then failed. */
  unbindKey(owner: string, key: string): Promise<void>;
}

export function toLookupResult(found: FindResult): LookupResult {
  if (typeof found === "string") return found;
  return canBeLookedUp(found) ? found : "gone";
}

function canBeLookedUp(status: GenerationStatus): status is LookupStatus {
  return status.record.request !== null;
}

/** The terminal event of a log, or null for a token. */
export function terminalOf({ event }: LogEntry): EndEvent | FailureEvent | null {
  return event.type === "token" ? null : event;
}

/** Whether reading a log failed, not the generation: such an error has no number, so that a reader who comes back misses nothing. */
export function isOfReading({ kind }: AppError): boolean {
  return kind === "log_lost" || kind === "gone" || kind === "unavailable";
}

/** The error that a failure stands for. */
export function failureError({ kind, message }: FailureEvent): AppError {
  return new AppError(kind, message, kind === "unavailable" ? { retryAfterSeconds: 1 } : {});
}

/** "accepted", then a started generation's log as events, to its one reader. Throws where the log ends with a failure. */
export async function* eventsOf(entries: AsyncIterable<LogEntry>): AsyncGenerator<GenerationEvent, void, void> {
  yield { type: "accepted" };
  for await (const { event } of entries) {
    if (event.type === "failure") throw failureError(event);
    yield event;
  }
}

/** What a cancelled generation ends with. */
export const cancelledFailure: FailureEvent = {
  type: "failure",
  kind: "cancelled",
  message: "the generation was cancelled",
};

/** How long an expired generation is still known to have been there, in times of GENERATION_TTL. */
export const expiredForTtls = 10;

/** Throws for a batch that no log could hold: that is a fault of the caller, not of the log. */
export function checkBatch(entries: readonly LogEntry[]): void {
  entries.forEach((entry, i) => {
    if (entry.seq !== (entries[0]?.seq ?? 0) + i || entry.seq < 1) throw new Error("entries to append have gaps");
    if (terminalOf(entry) !== null && i < entries.length - 1) throw new Error("entries follow the terminal one");
  });
}

/** Where a record stands in its owner's list: these strings sort by age, then id. */
export function pagePosition({ createdAt, id }: Pick<GenerationRecord, "createdAt" | "id">): string {
  return `${String(createdAt).padStart(15, "0")}-${id}`;
}

/** What pagePosition makes. */
export const pagePositionPattern = "^[0-9]{15}-[0-9a-f]{32}$";

/** The id in a page position. Throws AppError "validation" for what pagePosition never made. */
export function idAtPosition(position: string): string {
  const id = new RegExp(pagePositionPattern, "u").test(position) ? position.slice(16) : undefined;
  return id ?? refuse("before", "not a position of a list");
}
