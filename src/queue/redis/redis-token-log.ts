// The token log that API nodes and workers share: scripts in token-log-scripts.ts, one round trip a method. Errors of the connection are "unavailable" at once.
//
//   {prefix}:gen:{<id>}:meta|record|log · {prefix}:owner:<owner> (sorted by age) · {prefix}:key:<owner>:<sha256> · {prefix}:node:<node> (a channel)
import { createHash, randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import { orUnavailable, runScript, runScripts, type ScriptCall } from "./redis-script.js";
import { publishPushes } from "./pushes.js";
import * as scripts from "./token-log-scripts.js";
import {
  terminalOf,
  type Appended,
  type Cancelled,
  type Claim,
  type FindResult,
  type GenerationRecord,
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
  type FailureEvent,
  type GenerationState,
  type LogEvent,
} from "../log/token-log.js";
import type { EndEvent } from "../../generation.js";

export interface RedisTokenLogOptions {
  /** In role "commands". */
  readonly client: Redis;
  readonly prefix: string;
  readonly ttlMs: number;
  /** How long an open generation stays after its last sign of life. */
  readonly openTtlMs?: number;
}

/** One generation's part of a flush. */
export interface AppendRequest {
  readonly id: string;
  readonly writer: string;
  readonly entries: readonly LogEntry[];
}

/** What became of it, and which API nodes follow it: push to them after an "ok". */
export interface AppendedTo extends Appended {
  readonly nodes: readonly string[];
}

const shortestOpenTtlMs = 3_600_000;
/** Of an owner's list, looked at with each new member: twice as many go as come, so lists stay short without being read. */
const oldestLookedAt = 2;

export class RedisTokenLog implements TokenLog {
  readonly #client: Redis;
  readonly #prefix: string;
  readonly #ttlMs: number;
  readonly #openTtlMs: number;
  readonly #traceMs: number;

  constructor({ client, prefix, ttlMs, openTtlMs = Math.max(ttlMs, shortestOpenTtlMs) }: RedisTokenLogOptions) {
    this.#client = client;
    this.#prefix = prefix;
    this.#ttlMs = ttlMs;
    this.#openTtlMs = openTtlMs;
    this.#traceMs = ttlMs * expiredForTtls;
  }

  /** At each new connection: the first create must not need a second try, or a job that is sent behind it overtakes it. */
  prepare(): void {
    this.#client.script("LOAD", scripts.createScript.lua).catch(() => undefined);
  }

  /** @param node the API node that follows it from the start; none when absent */
  async create(record: GenerationRecord, node = ""): Promise<void> {
    const { owner, createdAt } = record;
    const args = [JSON.stringify(record), owner, createdAt, this.#openTtlMs, this.#traceMs, node];
    await runScript(this.#client, scripts.createScript, this.#call(record.id, args));
    if (record.request !== null) await this.#enlist(record);
  }

  async find(id: string): Promise<FindResult> {
    return findResultOf(await runScript(this.#client, scripts.findScript, this.#call(id, [])));
  }

  async claim(id: string, attempt: number, worker: string, variant = ""): Promise<Claim | Refusal> {
    const writer = randomUUID();
    const args = [attempt, writer, worker, this.#openTtlMs, this.#traceMs, variant];
    const reply = await runScript(this.#client, scripts.claimScript, this.#call(id, args));
    const [result, record, cancel, entries, wrote] = reply as ["ok" | Refusal, string, number, RawEntry[], string];
    if (result !== "ok") return result;
    return {
      writer,
      record: JSON.parse(record) as GenerationRecord,
      entries: entriesOf(entries),
      variant: wrote,
      isCancelled: cancel === 1,
    };
  }

  async append(id: string, writer: string, entries: readonly LogEntry[]): Promise<AppendedTo> {
    const reply = await runScript(this.#client, scripts.appendScript, this.#appendCall({ id, writer, entries }));
    return appendedOf(reply);
  }

  /** A worker's flush in one round trip: an answer for each, in order. If it throws, some may be in: repeat all of it. */
  async appendMany(requests: readonly AppendRequest[]): Promise<AppendedTo[]> {
    const calls = requests.map((request) => this.#appendCall(request));
    return (await runScripts(this.#client, scripts.appendScript, calls)).map(appendedOf);
  }

  async read(id: string, after: number): Promise<Reading> {
    // A stream's range begins with an inclusive bound.
    const call = this.#call(id, [Math.min(after, Number.MAX_SAFE_INTEGER - 1) + 1]);
    return readingOf(await runScript(this.#client, scripts.readScript, call));
  }

  async cancel(id: string): Promise<Cancelled> {
    const args = [JSON.stringify(cancelledFailure), this.#ttlMs, this.#traceMs];
    const reply = await runScript(this.#client, scripts.cancelScript, this.#call(id, args));
    const [result, worker, lastSeq, nodes] = reply as [Cancelled["result"], string, number, string];
    if (result === "cancelled") await this.#pushFailure(id, lastSeq, namesIn(nodes));
    return { result, worker: result === "asked" ? worker : null };
  }

  async list(owner: string, { before, limit }: PageRequest): Promise<Page> {
    if (before !== null) idAtPosition(before);
    const listed: GenerationStatus[] = [];
    // One more than asked for shows whether there is a next page.
    for (let from = before; listed.length <= limit;) {
      const positions = await this.#positionsBefore(owner, from, limit + 1 - listed.length);
      from = positions.at(-1) ?? null;
      if (from === null) break;
      listed.push(...(await this.#statusesAt(owner, positions)));
    }
    const statuses = listed.slice(0, limit);
    const last = statuses.at(-1);
    return { statuses, next: listed.length > limit && last !== undefined ? pagePosition(last.record) : null };
  }

  async bindKey(owner: string, key: string, binding: KeyBinding): Promise<KeyBinding> {
    const call = { keys: [this.#keyName(owner, key)], args: [JSON.stringify(binding), this.#ttlMs] };
    return JSON.parse((await runScript(this.#client, scripts.bindKeyScript, call)) as string) as KeyBinding;
  }

  async unbindKey(owner: string, key: string): Promise<void> {
    await orUnavailable(() => this.#client.del(this.#keyName(owner, key)));
  }

  #call(id: string, args: readonly (string | number)[]): ScriptCall {
    const stem = `${this.#prefix}:gen:{${id}}:`;
    return { keys: [`${stem}meta`, `${stem}record`, `${stem}log`], args };
  }

  #appendCall({ id, writer, entries }: AppendRequest): ScriptCall {
    checkBatch(entries);
    const last = entries.at(-1);
    const isEnd = last !== undefined && terminalOf(last) !== null;
    const events = entries.map(({ event }) => JSON.stringify(event));
    const times = [this.#openTtlMs, this.#ttlMs, this.#traceMs];
    return this.#call(id, [writer, ...times, entries[0]?.seq ?? 0, isEnd ? 1 : 0, ...events]);
  }

  // A push that fails is caught up with by the next poll.
  async #pushFailure(id: string, seq: number, nodes: readonly string[]): Promise<void> {
    const entries = [{ seq, event: cancelledFailure }];
    await publishPushes(this.#client, this.#prefix, [{ id, entries, nodes }]).catch(() => undefined);
  }

  async #enlist(record: GenerationRecord): Promise<void> {
    const { owner } = record;
    const name = this.#listName(owner);
    const oldest = await orUnavailable(async () => {
      await this.#client.zadd(name, 0, pagePosition(record));
      await this.#client.pexpire(name, this.#openTtlMs + this.#ttlMs);
      return this.#client.zrange(name, 0, String(oldestLookedAt - 1));
    });
    const past = pagePosition({ createdAt: record.createdAt - this.#ttlMs, id: "" });
    await this.#statusesAt(
      owner,
      oldest.filter((position) => position < past),
    );
  }

  #positionsBefore(owner: string, before: string | null, count: number): Promise<string[]> {
    const end = before === null ? "+" : `(${before}`;
    return orUnavailable(() => this.#client.zrevrangebylex(this.#listName(owner), end, "-", "LIMIT", 0, String(count)));
  }

  /** Takes those that have expired off the list. */
  async #statusesAt(owner: string, positions: readonly string[]): Promise<GenerationStatus[]> {
    const calls = positions.map((position) => this.#call(idAtPosition(position), []));
    const found = (await runScripts(this.#client, scripts.findScript, calls)).map(findResultOf);
    const past = positions.filter((_, i) => typeof found[i] === "string");
    if (past.length > 0) await orUnavailable(() => this.#client.zrem(this.#listName(owner), ...past));
    return found.filter((one) => typeof one !== "string");
  }

  #listName(owner: string): string {
    return `${this.#prefix}:owner:${owner}`;
  }

  #keyName(owner: string, key: string): string {
    return `${this.#prefix}:key:${owner}:${createHash("sha256").update(key).digest("hex")}`;
  }
}

function appendedOf(reply: unknown): AppendedTo {
  const [result, lastSeq, cancel, nodes] = reply as [Appended["result"], number, number, string];
  return { result, lastSeq, isCancelled: cancel === 1, nodes: namesIn(nodes) };
}

function namesIn(nodes: string): string[] {
  return nodes.split(" ").filter((name) => name !== "");
}

// The scripts' replies: arrays of strings and integers in, the contract's types out.

/** A stream's entry: its id, then field and value. */
export type RawEntry = readonly [id: string, fields: readonly [name: string, value: string]];

function entriesOf(raw: readonly RawEntry[]): LogEntry[] {
  return raw.map(([id, [, value]]) => ({ seq: Number(id.slice("0-".length)), event: JSON.parse(value) as LogEvent }));
}

function readingOf(reply: unknown): Reading {
  const [state, lastSeq, entries] = reply as [Reading["state"], number | undefined, RawEntry[] | undefined];
  return { state, lastSeq: lastSeq ?? 0, entries: entriesOf(entries ?? []) };
}

function findResultOf(reply: unknown): FindResult {
  const [state, record, lastSeq, cancel, last] = reply as [GenerationState, string, number, number, string];
  if (!isThere(state)) return state;
  return {
    record: JSON.parse(record) as GenerationRecord,
    state,
    lastSeq,
    terminal: last === "" ? null : (JSON.parse(last) as EndEvent | FailureEvent),
    isCancelled: cancel === 1,
  };
}

function isThere(state: GenerationState | "expired" | "gone"): state is GenerationState {
  return state !== "expired" && state !== "gone";
}
