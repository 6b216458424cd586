// The token log of one process. What has ended is dropped after GENERATION_TTL, or earlier when it is too much; followers are woken as entries come.
//
//   open ──terminal──▶ ended ──ttlMs, or the oldest of too many──▶ expired ──10 × ttlMs──▶ gone
import { randomUUID } from "node:crypto";
import { LRUCache } from "lru-cache";
import {
  terminalOf,
  type Appended,
  type Cancelled,
  type Claim,
  type FindResult,
  type GenerationRecord,
  type GenerationState,
  type GenerationStatus,
  type KeyBinding,
  type LogEntry,
  type Page,
  type PageRequest,
  type Reading,
  type Refusal,
  type TokenLog,
  cancelledFailure,
  checkBatch,
  expiredForTtls,
  idAtPosition,
  pagePosition,
} from "../log/token-log.js";
import { Watchers, type Watch } from "../log/watchers.js";

export interface MemoryTokenLogOptions {
  readonly ttlMs: number;
  /** Milliseconds, monotonic. */
  readonly now: () => number;
  /** Bound on what ended generations hold, counted in tokens: above it the oldest expire early. */
  readonly maxEndedTokens?: number;
}

interface StoredGeneration {
  readonly record: GenerationRecord;
  readonly entries: LogEntry[];
  state: GenerationState;
  attempt: number;
  writer: string;
  worker: string | null;
  variant: string;
  isCancelled: boolean;
}

/** About 200 MB. */
const usualMaxEndedTokens = 500_000;
const maxTraces = 100_000;
/** To lru-cache an entry that was made at 0 has no time. */
const clockOffsetMs = 1;

export class MemoryTokenLog implements TokenLog {
  readonly #open = new Map<string, StoredGeneration>();
  // Only ever peeked at: then the oldest goes first, however often it is read.
  readonly #ended: LRUCache<string, StoredGeneration>;
  readonly #expired: LRUCache<string, true>;
  readonly #keys: LRUCache<string, KeyBinding>;
  readonly #watchers = new Watchers();

  constructor({ ttlMs, now, maxEndedTokens = usualMaxEndedTokens }: MemoryTokenLogOptions) {
    const maxSize = maxEndedTokens * 10;
    const clock = { ttlResolution: 0, perf: { now: () => now() + clockOffsetMs } };
    const ofOne = { maxSize: maxTraces, sizeCalculation: () => 1, ...clock };
    this.#ended = new LRUCache({
      ttl: ttlMs,
      ttlAutopurge: true,
      maxSize,
      sizeCalculation: (stored) => Math.min(tenthsOfTokens(stored), maxSize),
      dispose: (_, id) => this.#expired.set(id, true),
      ...clock,
    });
    // Without timers of its own: they hold no more than 24 days.
    this.#expired = new LRUCache({ ttl: ttlMs * expiredForTtls, ...ofOne });
    this.#keys = new LRUCache({ ttl: ttlMs, ttlAutopurge: true, ...ofOne });
  }

  readonly watch: Watch = (id, onEntries) => this.#watchers.watch(id, onEntries);

  async create(record: GenerationRecord): Promise<void> {
    if (this.#find(record.id) !== undefined || this.#isExpired(record.id)) return;
    const fresh = { state: "queued", attempt: 0, writer: "", worker: null, variant: "", isCancelled: false } as const;
    this.#open.set(record.id, { record, entries: [], ...fresh });
  }

  async find(id: string): Promise<FindResult> {
    const stored = this.#find(id);
    return stored === undefined ? this.#absence(id) : statusOf(stored);
  }

  async claim(id: string, attempt: number, worker: string, variant = ""): Promise<Claim | Refusal> {
    const stored = this.#find(id);
    if (stored === undefined) return "gone";
    if (stored.state === "ended") return "ended";
    if (attempt < stored.attempt) return "fenced";
    Object.assign(stored, { state: "running", writer: randomUUID(), attempt, worker });
    if (stored.entries.length === 0) stored.variant = variant;
    const { record, writer, isCancelled } = stored;
    return { record, writer, isCancelled, variant: stored.variant, entries: [...stored.entries] };
  }

  async append(id: string, writer: string, entries: readonly LogEntry[]): Promise<Appended> {
    checkBatch(entries);
    const stored = this.#find(id);
    if (stored === undefined) return { result: "gone", lastSeq: 0, isCancelled: false };
    const result = appendResult(stored, writer, entries);
    const fresh = result === "ok" ? entries.slice(Math.max(0, lastSeqOf(stored) + 1 - (entries[0]?.seq ?? 0))) : [];
    this.#write(id, stored, fresh);
    return { result, lastSeq: lastSeqOf(stored), isCancelled: stored.isCancelled };
  }

  async read(id: string, after: number): Promise<Reading> {
    const stored = this.#find(id);
    if (stored === undefined) return { entries: [], state: this.#absence(id), lastSeq: 0 };
    return { entries: stored.entries.slice(after), state: stored.state, lastSeq: lastSeqOf(stored) };
  }

  async cancel(id: string): Promise<Cancelled> {
    const stored = this.#find(id);
    if (stored === undefined) return { result: "gone", worker: null };
    if (stored.state === "ended") return { result: "ended", worker: null };
    stored.isCancelled = true;
    if (stored.state === "running") return { result: "asked", worker: stored.worker };
    this.#write(id, stored, [{ seq: lastSeqOf(stored) + 1, event: cancelledFailure }]);
    return { result: "cancelled", worker: null };
  }

  async list(owner: string, { before, limit }: PageRequest): Promise<Page> {
    if (before !== null) idAtPosition(before);
    const mine = [...this.#open.values(), ...this.#ended.values()]
      .filter(({ record }) => record.owner === owner && record.request !== null)
      .map((stored) => ({ stored, position: pagePosition(stored.record) }))
      .filter(({ position }) => before === null || position < before)
      .sort((a, b) => (a.position < b.position ? 1 : -1));
    const page = mine.slice(0, limit);
    const next = mine.length > limit ? (page.at(-1)?.position ?? null) : null;
    return { statuses: page.map(({ stored }) => statusOf(stored)), next };
  }

  async bindKey(owner: string, key: string, binding: KeyBinding): Promise<KeyBinding> {
    const name = JSON.stringify([owner, key]);
    const bound = this.#keys.peek(name);
    if (bound === undefined) this.#keys.set(name, binding);
    return bound ?? binding;
  }

  async unbindKey(owner: string, key: string): Promise<void> {
    this.#keys.delete(JSON.stringify([owner, key]));
  }

  #find(id: string): StoredGeneration | undefined {
    const stored = this.#open.get(id) ?? this.#ended.peek(id);
    // What is past its time counts as expired from the moment that somebody asks.
    if (stored === undefined) this.#ended.delete(id);
    return stored;
  }

  #isExpired(id: string): boolean {
    return this.#expired.peek(id) ?? false;
  }

  #absence(id: string): "expired" | "gone" {
    return this.#isExpired(id) ? "expired" : "gone";
  }

  #write(id: string, stored: StoredGeneration, entries: readonly LogEntry[]): void {
    const last = entries.at(-1);
    if (last === undefined) return;
    stored.entries.push(...entries);
    if (terminalOf(last) !== null) this.#end(id, stored);
    this.#watchers.notify(id, entries);
  }

  #end(id: string, stored: StoredGeneration): void {
    stored.state = "ended";
    this.#open.delete(id);
    this.#ended.set(id, stored);
  }
}

function lastSeqOf({ entries }: StoredGeneration): number {
  return entries.length;
}

function appendResult(stored: StoredGeneration, writer: string, entries: readonly LogEntry[]): Appended["result"] {
  if (stored.writer !== writer || writer === "") return "fenced";
  const last = entries.at(-1);
  if (last !== undefined && last.seq <= lastSeqOf(stored)) return "ok";
  if (stored.state === "ended") return "ended";
  return entries[0] !== undefined && entries[0].seq > lastSeqOf(stored) + 1 ? "gap" : "ok";
}

function statusOf({ record, state, entries, isCancelled }: StoredGeneration): GenerationStatus {
  const last = entries.at(-1);
  return {
    record,
    state,
    lastSeq: entries.length,
    terminal: last === undefined ? null : terminalOf(last),
    isCancelled,
  };
}

/** Attention and source ids weigh by their numbers, an end event repeats its tokens, and a record weighs something however short it is. */
function tenthsOfTokens({ record, entries }: StoredGeneration): number {
  const numbers = entries.reduce(
    (sum, { event }) => sum + (event.type === "token" ? (event.attention?.length ?? 0) : 0),
    record.prepared.sourceIds.length,
  );
  return Math.max(20 * entries.length + numbers, 50);
}
