// The contract of Generations, as a suite that every implementation inherits: call it with a way to build one over a given Generate.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { AppError, type ErrorKind } from "../../../src/errors.js";
import type { EndEvent, Generate, GenerationEvent, Prepared, TokenEvent } from "../../../src/generation.js";
import type { Generations } from "../../../src/queue/generations.js";
import type { FindResult, LookupRecord, LogEntry } from "../../../src/queue/log/token-log.js";
import { decoding } from "../models/decoding.js";
import type { QueueLimits } from "./queue-contract.js";
import { until } from "../until.js";

export interface GenerationsUnderTest {
  readonly generations: Generations;
  dispose(): Promise<void>;
}

export interface GenerationsLimits extends QueueLimits {
  /** GENERATION_TTL */
  readonly ttlMs: number;
  /** How long close() lets generations run. */
  readonly drainTimeoutMs: number;
}

type Build = (generate: Generate, limits: GenerationsLimits) => Promise<GenerationsUnderTest>;

const wide: GenerationsLimits = {
  maxQueuedRequests: 100,
  maxQueuedTokens: 10_000,
  ttlMs: 60_000,
  drainTimeoutMs: 10_000,
};

/** @param runsHere false: generations run on workers, which take them before their first event, and close has none to wait for */
export function testGenerationsContract(name: string, build: Build, runsHere = true): void {
  const check = (
    title: string,
    limits: Partial<GenerationsLimits>,
    body: (generations: Generations, script: Script) => Promise<void>,
  ) =>
    test(`${name}: ${title}`, async () => {
      const script = new Script();
      const { generations, dispose } = await build(script.generate, { ...wide, ...limits });
      await body(generations, script).finally(async () => {
        script.release();
        await dispose();
      });
    });

  check("a follower gets every event once, in order, numbered from 1, the end last", {}, async (generations) => {
    const record = recordOf({ tokens: 5 });
    await generations.start(record);
    const entries = await followed(generations, record.id);
    assert.deepEqual(numbers(entries), [1, 2, 3, 4, 5, 6]);
    assert.deepEqual(kinds(entries), [...Array.from({ length: 5 }, () => "token"), "end"]);
  });

  check("every place to come back to gives the rest, after the end too", {}, async (generations, script) => {
    script.hold(3);
    const record = recordOf({ tokens: 6 });
    await generations.start(record);
    await script.untilHeld();
    await until(async () => lastSeqOf(await generations.find(record.id)) >= 2);
    const early = [0, 1, 2].map((after) => followed(generations, record.id, after));
    await sleep(20);
    script.release();
    const whole = await followed(generations, record.id);
    for (const [after, rest] of (await Promise.all(early)).entries()) assert.deepEqual(rest, whole.slice(after));
    for (let after = 0; after <= 7; after += 1) {
      assert.deepEqual(await followed(generations, record.id, after), whole.slice(after));
    }
  });

  check("leaving early changes nothing for the generation and its other followers", {}, async (generations) => {
    const record = recordOf({ tokens: 30 });
    await generations.start(record);
    const other = followed(generations, record.id);
    for await (const entry of generations.follow(record.id, 0, new AbortController().signal)) {
      if (entry.seq === 3) break;
    }
    assert.equal((await other).length, 31);
  });

  check("it runs to its end when nobody follows", {}, async (generations, script) => {
    const record = recordOf({ tokens: 10 });
    await generations.start(record);
    await until(async () => stateOf(await generations.find(record.id)) === "ended");
    await script.untilRunning(0);
    assert.equal((await followed(generations, record.id)).length, 11);
  });

  check("an aborted signal ends following with its reason", {}, async (generations, script) => {
    script.hold(1);
    const record = recordOf({ tokens: 5 });
    await generations.start(record);
    const abort = new AbortController();
    const reason = new AppError("cancelled", "the reader left");
    const reading = followed(generations, record.id, 0, abort.signal);
    await script.untilHeld();
    abort.abort(reason);
    await assert.rejects(reading, (error) => error === reason);
    script.release();
    assert.equal((await followed(generations, record.id)).length, 6);
  });

  check("a failure is the last entry, in words a client may read", {}, async (generations) => {
    for (const [failure, kind, message] of [
      ["generation", "generation", "scripted failure"],
      ["crash", "internal", "internal error"],
    ] as const) {
      const record = recordOf({ tokens: 2, failure });
      await generations.start(record);
      const entries = await followed(generations, record.id);
      assert.deepEqual(kinds(entries), ["token", "token", "failure"]);
      assert.deepEqual(entries.at(-1), { seq: 3, event: { type: "failure", kind, message } });
      const found = await generations.find(record.id);
      assert.ok(typeof found === "object");
      assert.deepEqual(found.terminal, entries.at(-1)!.event);
    }
  });

  check("a failure before the first token is entry 1", {}, async (generations) => {
    const record = recordOf({ tokens: 0, failure: "generation" });
    await generations.start(record);
    assert.deepEqual(numbers(await followed(generations, record.id)), [1]);
  });

  check("find gives record, state and the last number as it goes", {}, async (generations, script) => {
    script.hold(3);
    const record = recordOf({ tokens: 4 });
    await generations.start(record);
    await script.untilHeld();
    await until(async () => lastSeqOf(await generations.find(record.id)) === 2);
    const running = await generations.find(record.id);
    assert.ok(typeof running === "object");
    // Where jobs go by it, the model's digest is kept with the record.
    const kept = { ...running, record: { ...running.record, digest: record.digest } };
    assert.deepEqual(kept, {
      record: { ...record, digest: undefined },
      state: "running",
      lastSeq: 2,
      terminal: null,
      isCancelled: false,
    });
    script.release();
    await followed(generations, record.id);
    const ended = await generations.find(record.id);
    assert.ok(typeof ended === "object");
    assert.deepEqual([ended.state, ended.lastSeq, ended.terminal?.type], ["ended", 5, "end"]);
  });

  check("before its first event it is queued; a cancel ends it there", {}, async (generations, script) => {
    script.hold(1);
    const record = recordOf({ tokens: 4 });
    await generations.start(record);
    await script.untilHeld();
    assert.equal(stateOf(await generations.find(record.id)), runsHere ? "queued" : "running");
    const reading = followed(generations, record.id);
    assert.equal(await generations.cancel(record.id), true);
    assert.deepEqual(kinds(await reading), ["failure"]);
    script.release();
    await script.untilRunning(0);
    assert.deepEqual(kinds(await followed(generations, record.id)), ["failure"]);
  });

  check("a cancel stops it and gives all followers the same one terminal entry", {}, async (generations, script) => {
    const record = recordOf({ tokens: 1_000_000 });
    await generations.start(record);
    const readings = [followed(generations, record.id), followed(generations, record.id)];
    await until(async () => lastSeqOf(await generations.find(record.id)) > 2);
    assert.equal(await generations.cancel(record.id), true);
    const [first, second] = await Promise.all(readings);
    assert.deepEqual(first!.at(-1), second!.at(-1));
    const { event, seq } = first!.at(-1)!;
    assert.deepEqual(event, { type: "failure", kind: "cancelled", message: "the generation was cancelled" });
    assert.equal(first!.length, seq);
    assert.equal(kinds(first!).filter((kind) => kind !== "token").length, 1);
    await script.untilRunning(0);
    assert.equal(await generations.cancel(record.id), false, "nothing is left to cancel");
  });

  check("what is not there can't be cancelled, found or followed", {}, async (generations) => {
    const id = randomBytes(16).toString("hex");
    assert.equal(await generations.cancel(id), false);
    assert.equal(await generations.find(id), "gone");
    await assert.rejects(followed(generations, id), isKind("not_found"));
  });

  check("asking for more than there is is log_lost", {}, async (generations) => {
    const record = recordOf({ tokens: 2 });
    await generations.start(record);
    await followed(generations, record.id);
    await assert.rejects(followed(generations, record.id, 4), isKind("log_lost"));
  });

  check("what expired is known to have been there", { ttlMs: 30 }, async (generations) => {
    const record = recordOf({ tokens: 1 });
    await generations.start(record);
    await until(async () => (await generations.find(record.id)) === "expired");
    await assert.rejects(followed(generations, record.id), isKind("gone"));
  });

  check(
    "a full queue refuses with a time to come back, and keeps nothing",
    { maxQueuedRequests: 2 },
    async (generations, script) => {
      script.hold(1);
      const waiting = [recordOf({ tokens: 1 }), recordOf({ tokens: 1 })];
      for (const record of waiting) await generations.start(record);
      const refused = recordOf({ tokens: 1 });
      await assert.rejects(
        generations.start(refused),
        (error) => isKind("overloaded")(error) && ((error as AppError).retryAfterSeconds ?? 0) >= 1,
      );
      assert.equal(await generations.find(refused.id), "gone");
      script.release();
      for (const { id } of waiting) await followed(generations, id);
      await generations.start(refused);
      assert.equal((await followed(generations, refused.id)).length, 2);
    },
  );

  check("many at once each get their own events", {}, async (generations) => {
    const records = Array.from({ length: 40 }, (_, i) => recordOf({ tokens: 1 + (i % 7) }));
    await Promise.all(records.map((record) => generations.start(record)));
    const all = await Promise.all(records.map(({ id }) => followed(generations, id)));
    assert.deepEqual(
      all.map((entries) => entries.length),
      records.map((_, i) => 2 + (i % 7)),
    );
  });

  check("a list holds an owner's own, newest first, in pages", {}, async (generations) => {
    const mine = Array.from({ length: 5 }, (_, i) => recordOf({ tokens: 1 }, { owner: "me", createdAt: 1000 + i }));
    for (const record of [...mine, recordOf({ tokens: 1 }, { owner: "you" })]) await generations.start(record);
    const ids: string[] = [];
    let before: string | null = null;
    do {
      const page = await generations.list("me", { before, limit: 2 });
      assert.ok(page.statuses.length <= 2);
      ids.push(...page.statuses.map(({ record }) => record.id));
      before = page.next;
    } while (before !== null);
    assert.deepEqual(ids, mine.map(({ id }) => id).reverse());
    assert.deepEqual((await generations.list("nobody", { before: null, limit: 10 })).statuses, []);
  });

  check("an Idempotency-Key is bound once per owner, until it is unbound", {}, async (generations) => {
    const first = { id: "a".repeat(32), bodyHash: "h1" };
    const second = { id: "b".repeat(32), bodyHash: "h2" };
    const bound = await Promise.all([
      generations.bindKey("me", "key", first),
      ...Array.from({ length: 20 }, () => generations.bindKey("me", "key", second)),
    ]);
    for (const binding of bound) assert.deepEqual(binding, bound[0]);
    assert.deepEqual(await generations.bindKey("you", "key", second), second);
    await generations.unbindKey("me", "key");
    assert.deepEqual(await generations.bindKey("me", "key", second), second);
  });

  check("close refuses new ones and waits for those that run", {}, async (generations, script) => {
    script.hold(2);
    const record = recordOf({ tokens: 3 });
    await generations.start(record);
    const reading = followed(generations, record.id);
    await script.untilHeld();
    let isClosed = false;
    const closed = generations.close().then(() => (isClosed = true));
    await assert.rejects(generations.start(recordOf({ tokens: 1 })), isKind("unavailable"));
    await sleep(20);
    assert.equal(isClosed, !runsHere);
    script.release();
    await closed;
    assert.deepEqual(kinds(await reading), ["token", "token", "token", "end"]);
  });
}

interface Plan {
  readonly tokens: number;
  readonly failure?: "generation" | "crash";
}

/** A record whose `badWordsIds` tell the script what to make. */
export function recordOf({ tokens, failure }: Plan, overrides: Partial<LookupRecord> = {}): LookupRecord {
  const id = randomBytes(16).toString("hex");
  const codes = { none: 0, generation: 1, crash: 2 };
  const prepared: Prepared = {
    id,
    model: "scripted",
    sourceIds: [1, 1, 1],
    decoding: decoding({ badWordsIds: [[tokens, codes[failure ?? "none"]]] }),
    stop: [],
    wantLogprobs: false,
    topN: 0,
    wantAttention: false,
    deadlineAt: null,
    priority: 5,
  };
  return {
    id,
    owner: "",
    createdAt: Date.now(),
    priority: 5,
    prepared,
    request: { text: "text", parameters: {} },
    webhookUrl: null,
    ...overrides,
  };
}

/** Makes tokens; `hold(n)` stops every generation before its token n until `release`. */
export class Script {
  #running = 0;
  #heldAt = 0;
  #isHeld = false;
  #gate = Promise.resolve();
  release: () => void = () => undefined;

  hold(seq: number): void {
    this.#heldAt = seq;
    this.#gate = new Promise((resolve) => (this.release = resolve));
  }

  readonly generate: Generate = (request, signal) => this.#generate(request, signal);

  untilHeld(): Promise<void> {
    return until(() => Promise.resolve(this.#isHeld));
  }

  untilRunning(count: number): Promise<void> {
    return until(() => Promise.resolve(this.#running === count));
  }

  async *#generate(request: Prepared, signal: AbortSignal): AsyncGenerator<GenerationEvent, void, void> {
    const [tokens = 0, failure = 0] = request.decoding.badWordsIds[0] ?? [];
    this.#running += 1;
    try {
      for (let seq = 1; seq <= tokens; seq += 1) {
        if (seq === this.#heldAt) await this.#held(signal);
        signal.throwIfAborted();
        yield { type: "token", seq, index: 0, id: seq, text: `${seq} `, special: false } satisfies TokenEvent;
        await sleep(0);
      }
      if (failure === 1) throw new AppError("generation", "scripted failure");
      if (failure === 2) throw new Error("secret detail");
      const usage = { sourceTokens: 3, generatedTokens: tokens };
      const timings = { queueMs: 0, encodeMs: 0, decodeMs: 0, totalMs: 0 };
      yield { type: "end", outputs: [], usage, timings } satisfies EndEvent;
    } finally {
      this.#running -= 1;
    }
  }

  // As in an engine, an abort is heard while it waits.
  async #held(signal: AbortSignal): Promise<void> {
    this.#isHeld = true;
    const aborted = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    await Promise.race([this.#gate, aborted]);
  }
}

async function followed(
  generations: Generations,
  id: string,
  after = 0,
  signal = new AbortController().signal,
): Promise<LogEntry[]> {
  const entries: LogEntry[] = [];
  for await (const entry of generations.follow(id, after, signal)) entries.push(entry);
  return entries;
}

function numbers(entries: readonly LogEntry[]): number[] {
  return entries.map(({ seq }) => seq);
}

function kinds(entries: readonly LogEntry[]): string[] {
  return entries.map(({ event }) => event.type);
}

function lastSeqOf(found: FindResult): number {
  return typeof found === "string" ? 0 : found.lastSeq;
}

function stateOf(found: FindResult): string {
  return typeof found === "string" ? found : found.state;
}

function isKind(kind: ErrorKind) {
  return (error: unknown) => error instanceof AppError && error.kind === kind;
}
