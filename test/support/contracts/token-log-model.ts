// Random lives of generations on a log, against a simple oracle; and writers that race, crash and repeat themselves. Call it with any log.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { terminalOf, type LogEntry, type TokenLog } from "../../../src/queue/log/token-log.js";
import { end, failure, recordOf, token } from "./generations.js";
import { below, pick, seededRandom } from "../random.js";
import type { ContractOptions } from "./token-log-contract.js";

export function testTokenLogModel(name: string, { skip, build }: ContractOptions, seeds: number): void {
  test(`${name}: ${seeds} random lives are as the oracle says at every step`, { skip }, async () => {
    const { log, dispose } = await build({ ttlMs: 600_000 });
    for (let seed = 1; seed <= seeds; seed += 1) {
      await liveOnce(log, seededRandom(seed)).catch((error: unknown) => {
        throw new Error(`seed ${seed}`, { cause: error });
      });
    }
    await dispose();
  });

  test(`${name}: writers that race, crash and repeat leave one story with one end`, { skip }, async () => {
    const { log, dispose } = await build({ ttlMs: 600_000 });
    const results: string[] = [];
    for (let seed = 1; seed <= seeds; seed += 1) {
      await raceOnce(log, seededRandom(seed), results).catch((error: unknown) => {
        throw new Error(`seed ${seed}`, { cause: error });
      });
    }
    await dispose();
    // They did get into each other's way.
    for (const result of ["ok", "fenced"]) assert.ok(results.filter((one) => one === result).length > seeds, result);
  });
}

/** What a log should do, in the plainest words. */
class Oracle {
  entries: LogEntry[] = [];
  writer: string | null = null;
  attempt = 0;
  isCancelled = false;

  get lastSeq(): number {
    return this.entries.length;
  }

  get isEnded(): boolean {
    const last = this.entries.at(-1);
    return last !== undefined && terminalOf(last) !== null;
  }

  get state(): string {
    if (this.isEnded) return "ended";
    return this.writer === null ? "queued" : "running";
  }

  claim(attempt: number): "ok" | "ended" | "fenced" {
    if (this.isEnded) return "ended";
    if (attempt < this.attempt) return "fenced";
    this.attempt = attempt;
    return "ok";
  }

  append(writer: string, entries: LogEntry[]): { result: string; lastSeq: number; isCancelled: boolean } {
    const result = this.#judge(writer, entries);
    if (result === "ok") this.entries.push(...entries.filter(({ seq }) => seq > this.lastSeq));
    return { result, lastSeq: this.lastSeq, isCancelled: this.isCancelled };
  }

  #judge(writer: string, entries: LogEntry[]): string {
    if (writer !== this.writer) return "fenced";
    if (entries.length > 0 && (entries.at(-1)?.seq ?? 0) <= this.lastSeq) return "ok";
    if (this.isEnded) return "ended";
    return (entries[0]?.seq ?? 0) > this.lastSeq + 1 ? "gap" : "ok";
  }
}

async function liveOnce(log: TokenLog, random: () => number): Promise<void> {
  const record = recordOf();
  const oracle = new Oracle();
  const writers = ["never claimed"];
  await log.create(record);
  const steps: Record<string, () => Promise<void>> = {
    claim: async () => {
      const attempt = Math.max(1, oracle.attempt + below(random, 4) - 1);
      const claim = await log.claim(record.id, attempt, "w");
      const expected = oracle.claim(attempt);
      assert.equal(typeof claim === "string" ? claim : "ok", expected);
      if (typeof claim === "string") return;
      assert.deepEqual(claim.entries, oracle.entries);
      assert.equal(claim.isCancelled, oracle.isCancelled);
      oracle.writer = claim.writer;
      writers.push(claim.writer);
    },
    append: async () => {
      const writer = random() < 0.7 ? (writers.at(-1) ?? "") : pick(random, writers);
      const entries = randomBatch(random, oracle.entries);
      const { result, lastSeq, isCancelled } = await log.append(record.id, writer, entries);
      assert.deepEqual({ result, lastSeq, isCancelled }, oracle.append(writer, entries));
    },
    cancel: async () => {
      const { result } = await log.cancel(record.id);
      if (oracle.isEnded) return assert.equal(result, "ended");
      oracle.isCancelled = true;
      if (oracle.writer !== null) return assert.equal(result, "asked");
      assert.equal(result, "cancelled");
      oracle.entries.push(...(await log.read(record.id, oracle.lastSeq)).entries);
      assert.equal(oracle.isEnded, true);
    },
    create: () => log.create({ ...record, priority: 2 }),
  };
  for (let i = 0; i < 40; i += 1) {
    await pick(random, [steps.claim, steps.append, steps.append, steps.append, steps.append, steps.create])?.();
    if (random() < 0.03) await steps.cancel?.();
    const after = below(random, oracle.lastSeq + 2);
    assert.deepEqual(await log.read(record.id, after), {
      entries: oracle.entries.slice(after),
      state: oracle.state,
      lastSeq: oracle.lastSeq,
    });
  }
  const found = await log.find(record.id);
  assert.ok(typeof found === "object");
  assert.deepEqual([found.state, found.lastSeq, found.isCancelled], [oracle.state, oracle.lastSeq, oracle.isCancelled]);
  assertOneStory(oracle.entries);
}

/** Mostly the next entries; sometimes also some that are there already, or a gap, and at times an end. */
function randomBatch(random: () => number, there: readonly LogEntry[]): LogEntry[] {
  const lastSeq = there.length;
  const first = Math.max(1, lastSeq + 1 + pick(random, [0, 0, 0, -1, -3, 1, 2]));
  const batch = Array.from(
    { length: below(random, 5) },
    (_, i) => there[first + i - 1] ?? token(first + i, below(random, 99)),
  );
  const next = first + batch.length;
  const endedAt = batch.findIndex((entry) => terminalOf(entry) !== null);
  if (endedAt >= 0) return batch.slice(0, endedAt + 1);
  if (random() < 0.06 && there.every((entry) => terminalOf(entry) === null) && next > lastSeq) {
    batch.push(pick(random, [end(next), failure(next)]));
  }
  return batch;
}

/** Several workers on one generation, each with tokens of its own: what was acknowledged stays, whoever comes later. */
async function raceOnce(log: TokenLog, random: () => number, results: string[]): Promise<void> {
  const record = recordOf();
  await log.create(record);
  const acknowledged = new Map<number, LogEntry>();
  const length = 5 + below(random, 20);
  const workers = Array.from({ length: 4 }, (_, worker) =>
    work(log, record.id, worker, length, seededRandom(below(random, 1e9)), acknowledged, results),
  );
  await Promise.all(workers);
  // Whoever is left over finishes it.
  await work(log, record.id, 9, length, () => 0.5, acknowledged, results);
  const { entries, state } = await log.read(record.id, 0);
  assert.equal(state, "ended");
  assertOneStory(entries);
  for (const [seq, entry] of acknowledged) assert.deepEqual(entries[seq - 1], entry);
}

async function work(
  log: TokenLog,
  id: string,
  worker: number,
  length: number,
  random: () => number,
  acknowledged: Map<number, LogEntry>,
  results: string[],
): Promise<void> {
  for (let attempt = 1; attempt <= 50; attempt += 1) {
    const claim = await log.claim(id, attempt + (worker === 9 ? 100 : 0), `w${worker}`);
    if (claim === "ended") return;
    if (typeof claim === "string") continue;
    for (const entry of claim.entries) assertAgrees(acknowledged, entry);
    let next = claim.entries.length + 1;
    for (;;) {
      const repeated = Math.min(below(random, 3), next - 1);
      const isLast = next > length;
      const batch = isLast
        ? [end(next)]
        : Array.from({ length: 1 + below(random, 3) }, (_, i) => token(next + i, worker * 1000 + next + i));
      const again = repeated > 0 ? (acknowledged.get(next - 1) ?? null) : null;
      const { result } = await log.append(id, claim.writer, again === null ? batch : [again, ...batch]);
      results.push(result);
      if (result !== "ok") break;
      for (const entry of batch) acknowledge(acknowledged, entry);
      // A lost reply: the same once more.
      if (random() < 0.2) await log.append(id, claim.writer, batch);
      if (isLast) return;
      if (random() < 0.1) break;
      next += batch.length;
      if (random() < 0.5) await turn();
    }
  }
}

function acknowledge(acknowledged: Map<number, LogEntry>, entry: LogEntry): void {
  assertAgrees(acknowledged, entry);
  acknowledged.set(entry.seq, entry);
}

function assertAgrees(acknowledged: Map<number, LogEntry>, entry: LogEntry): void {
  const known = acknowledged.get(entry.seq);
  if (known !== undefined) assert.deepEqual(entry, known);
}

/** Numbers from 1 without gaps, at most one end, and it is the last. */
export function assertOneStory(entries: readonly LogEntry[]): void {
  assert.deepEqual(
    entries.map(({ seq }) => seq),
    entries.map((_, i) => i + 1),
  );
  const ends = entries.filter((entry) => terminalOf(entry) !== null);
  assert.ok(ends.length <= 1);
  if (ends[0] !== undefined) assert.equal(ends[0], entries.at(-1));
}
