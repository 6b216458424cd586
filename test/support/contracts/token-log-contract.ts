// The contract of TokenLog, as a suite that every log inherits.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { AppError } from "../../../src/errors.js";
import type { Claim, GenerationStatus, TokenLog } from "../../../src/queue/log/token-log.js";
import { end, failure, recordOf, token, tokens } from "./generations.js";

export interface LogUnderTest {
  readonly log: TokenLog;
  /** Lets so much time pass for expiry. */
  pass(ms: number): Promise<void>;
  dispose(): Promise<void>;
}

export interface LogTimes {
  readonly ttlMs: number;
}

export interface ContractOptions {
  readonly skip: false | string;
  build(times: LogTimes): Promise<LogUnderTest>;
}

const never = { ttlMs: 60_000 };

export function testTokenLogContract(name: string, { skip, build }: ContractOptions): void {
  const check = (title: string, body: (log: TokenLog) => Promise<void>): void => {
    test(`${name}: ${title}`, { skip }, async () => {
      const { log, dispose } = await build(never);
      await body(log).finally(dispose);
    });
  };
  const checkTimes = (title: string, ttlMs: number, body: (tested: LogUnderTest) => Promise<void>): void => {
    test(`${name}: ${title}`, { skip }, async () => {
      const tested = await build({ ttlMs });
      await body(tested).finally(() => tested.dispose());
    });
  };

  check("a created generation is queued and found as it was given", async (log) => {
    const record = recordOf({ webhookUrl: "https://example.org/hook", priority: 7, owner: "abc" });
    await log.create(record);
    assert.deepEqual(await log.find(record.id), {
      record,
      state: "queued",
      lastSeq: 0,
      terminal: null,
      isCancelled: false,
    });
    assert.deepEqual(await log.read(record.id, 0), { entries: [], state: "queued", lastSeq: 0 });
  });

  check("what was never created is gone for every method", async (log) => {
    const id = "0".repeat(32);
    assert.equal(await log.find(id), "gone");
    assert.equal(await log.claim(id, 1, "w"), "gone");
    assert.equal((await log.append(id, "nobody", [token(1)])).result, "gone");
    assert.deepEqual(await log.read(id, 0), { entries: [], state: "gone", lastSeq: 0 });
    assert.deepEqual(await log.cancel(id), { result: "gone", worker: null });
  });

  check("creating it again changes nothing", async (log) => {
    const record = recordOf();
    await log.create(record);
    const { writer } = await claimed(log, record.id);
    await log.append(record.id, writer, tokens(1, 2));
    await log.create({ ...record, priority: 9 });
    assert.deepEqual(await statusOf(log, record.id), {
      record,
      state: "running",
      lastSeq: 2,
      terminal: null,
      isCancelled: false,
    });
  });

  check("a claim hands out the record and the right to write; the end is kept", async (log) => {
    const record = recordOf();
    await log.create(record);
    const claim = await claimed(log, record.id);
    assert.deepEqual({ ...claim, writer: "" }, { writer: "", record, entries: [], variant: "", isCancelled: false });
    const appended = { result: "ok", isCancelled: false };
    assertAppended(await log.append(record.id, claim.writer, [token(1)]), { ...appended, lastSeq: 1 });
    assertAppended(await log.append(record.id, claim.writer, [token(2), token(3)]), { ...appended, lastSeq: 3 });
    assertAppended(await log.append(record.id, claim.writer, [end(4)]), { ...appended, lastSeq: 4 });
    const status = await statusOf(log, record.id);
    assert.deepEqual(status, { record, state: "ended", lastSeq: 4, terminal: end(4).event, isCancelled: false });
    assert.deepEqual(await log.read(record.id, 0), {
      entries: [...tokens(1, 3), end(4)],
      state: "ended",
      lastSeq: 4,
    });
  });

  check("reading begins after any number", async (log) => {
    const { id } = await running(log, 5);
    for (const after of [0, 1, 2, 3, 4, 5, 6, 7, 1e15, Number.MAX_SAFE_INTEGER]) {
      const entries = after < 5 ? tokens(after + 1, 5) : [];
      assert.deepEqual(await log.read(id, after), { entries, state: "running", lastSeq: 5 });
    }
  });

  check("tokens and end may come in one append, an end may be the only entry, a failure is an end", async (log) => {
    const all = await running(log, 0);
    await log.append(all.id, all.writer, [...tokens(1, 3), end(4)]);
    assert.equal((await statusOf(log, all.id)).state, "ended");
    const none = await running(log, 0);
    await log.append(none.id, none.writer, [end(1)]);
    assert.deepEqual((await statusOf(log, none.id)).terminal, end(1).event);
    const failed = await running(log, 2);
    await log.append(failed.id, failed.writer, [failure(3)]);
    assert.deepEqual((await statusOf(log, failed.id)).terminal, failure(3).event);
  });

  check("events keep every field", async (log) => {
    const { id, writer } = await running(log, 0);
    const top = [{ id: 4, text: '\u2028"\\\0x', logprob: -0.1234567890123456, special: false }];
    const event = { ...token(1).event, logprob: -1e-9, sampledLogprob: -3.5, top, attention: [0.25, 0.75] };
    await log.append(id, writer, [{ seq: 1, event }]);
    assert.deepEqual((await log.read(id, 0)).entries, [{ seq: 1, event }]);
  });

  check("a repeat is harmless: whole, in part, and of the end", async (log) => {
    const { id, writer } = await running(log, 3);
    assertAppended(await log.append(id, writer, tokens(1, 3)), { result: "ok", lastSeq: 3, isCancelled: false });
    assertAppended(await log.append(id, writer, tokens(2, 5)), { result: "ok", lastSeq: 5, isCancelled: false });
    const last = [token(5), token(6), end(7)];
    for (let i = 0; i < 3; i += 1) {
      assertAppended(await log.append(id, writer, last), { result: "ok", lastSeq: 7, isCancelled: false });
    }
    assert.deepEqual((await log.read(id, 0)).entries, [...tokens(1, 6), end(7)]);
  });

  check("a gap is refused whole", async (log) => {
    const { id, writer } = await running(log, 3);
    assertAppended(await log.append(id, writer, tokens(5, 6)), { result: "gap", lastSeq: 3, isCancelled: false });
    assertAppended(await log.append(id, writer, [end(9)]), { result: "gap", lastSeq: 3, isCancelled: false });
    assert.deepEqual(await log.read(id, 0), { entries: tokens(1, 3), state: "running", lastSeq: 3 });
    assertAppended(await log.append(id, writer, tokens(4, 6)), { result: "ok", lastSeq: 6, isCancelled: false });
  });

  check("nothing follows the end", async (log) => {
    const { id, writer } = await running(log, 1);
    await log.append(id, writer, [end(2)]);
    assertAppended(await log.append(id, writer, [token(3)]), { result: "ended", lastSeq: 2, isCancelled: false });
    assertAppended(await log.append(id, writer, [failure(3)]), { result: "ended", lastSeq: 2, isCancelled: false });
    assertAppended(await log.append(id, writer, []), { result: "ended", lastSeq: 2, isCancelled: false });
    assert.equal(await log.claim(id, 9, "late"), "ended");
    assert.equal((await log.read(id, 0)).lastSeq, 2);
  });

  check("batches that no log can hold are refused as the caller's fault", async (log) => {
    const { id, writer } = await running(log, 0);
    await assert.rejects(log.append(id, writer, [token(1), token(3)]), /gaps/);
    await assert.rejects(log.append(id, writer, [token(0)]), /gaps/);
    await assert.rejects(log.append(id, writer, [end(1), token(2)]), /follow the terminal/);
    assert.equal((await log.read(id, 0)).lastSeq, 0);
  });

  check("nobody writes without a claim", async (log) => {
    const record = recordOf();
    await log.create(record);
    for (const writer of ["", "somebody"]) {
      assert.equal((await log.append(record.id, writer, [token(1)])).result, "fenced");
    }
    assert.equal((await statusOf(log, record.id)).state, "queued");
  });

  check("another claim fences the writer before it, and gets what that one wrote", async (log) => {
    const { id, writer: old } = await running(log, 4);
    const next = await claimed(log, id, 2, "second");
    assert.deepEqual(next.entries, tokens(1, 4));
    assert.notEqual(next.writer, old);
    assertAppended(await log.append(id, old, [token(5, 555)]), { result: "fenced", lastSeq: 4, isCancelled: false });
    assertAppended(await log.append(id, old, [end(5)]), { result: "fenced", lastSeq: 4, isCancelled: false });
    assertAppended(await log.append(id, next.writer, [token(5)]), { result: "ok", lastSeq: 5, isCancelled: false });
    assertAppended(await log.append(id, old, tokens(4, 5)), { result: "fenced", lastSeq: 5, isCancelled: false });
    assert.deepEqual((await log.read(id, 3)).entries, tokens(4, 5));
  });

  check("a claim tells by what variant the entries were written, as long as there are some", async (log) => {
    const record = recordOf();
    await log.create(record);
    const { id } = record;
    const claimAs = async (attempt: number, variant: string) => {
      const claim = await log.claim(id, attempt, "w", variant);
      assert.ok(typeof claim === "object");
      return claim;
    };
    assert.equal((await claimAs(1, "fp32")).variant, "fp32");
    const { writer, variant } = await claimAs(2, "int8");
    assert.equal(variant, "int8", "nothing was written by the first");
    await log.append(id, writer, [token(1)]);
    assert.equal((await claimAs(3, "fp32")).variant, "int8");
  });

  check("a lower attempt is fenced, the same one takes over", async (log) => {
    const record = recordOf();
    await log.create(record);
    const third = await claimed(log, record.id, 3);
    assert.equal(await log.claim(record.id, 2, "stale"), "fenced");
    assert.equal((await log.append(record.id, third.writer, [token(1)])).result, "ok");
    const again = await claimed(log, record.id, 3);
    assert.equal((await log.append(record.id, third.writer, [token(2)])).result, "fenced");
    assert.equal((await log.append(record.id, again.writer, [token(2)])).result, "ok");
  });

  check("cancelled while queued: it ends at once, with a failure", async (log) => {
    const record = recordOf();
    await log.create(record);
    assert.deepEqual(await log.cancel(record.id), { result: "cancelled", worker: null });
    const status = await statusOf(log, record.id);
    assert.equal(status.terminal?.type === "failure" && status.terminal.kind, "cancelled");
    assert.deepEqual([status.state, status.lastSeq, status.isCancelled], ["ended", 1, true]);
    assert.equal((await log.read(record.id, 0)).entries.length, 1);
    assert.equal(await log.claim(record.id, 1, "w"), "ended");
    assert.deepEqual(await log.cancel(record.id), { result: "ended", worker: null });
  });

  check("cancelled while running: the writer is told, also the next one", async (log) => {
    const { id, writer } = await running(log, 2);
    assert.deepEqual(await log.cancel(id), { result: "asked", worker: "first" });
    assert.equal((await statusOf(log, id)).isCancelled, true);
    assert.equal((await statusOf(log, id)).state, "running");
    assertAppended(await log.append(id, writer, []), { result: "ok", lastSeq: 2, isCancelled: true });
    assertAppended(await log.append(id, writer, [token(3)]), { result: "ok", lastSeq: 3, isCancelled: true });
    const next = await claimed(log, id, 2, "second");
    assert.equal(next.isCancelled, true);
    assert.deepEqual(await log.cancel(id), { result: "asked", worker: "second" });
    await log.append(id, next.writer, [failure(4, "cancelled")]);
    assert.deepEqual(await log.cancel(id), { result: "ended", worker: null });
  });

  check("an empty append asks only", async (log) => {
    const { id, writer } = await running(log, 2);
    assertAppended(await log.append(id, writer, []), { result: "ok", lastSeq: 2, isCancelled: false });
    assertAppended(await log.append(id, "other", []), { result: "fenced", lastSeq: 2, isCancelled: false });
  });

  checkTimes("an ended one expires after its time, and is gone long after that", 40_000, async ({ log, pass }) => {
    const { id, writer } = await running(log, 2);
    await log.append(id, writer, [end(3)]);
    assert.equal((await log.read(id, 0)).lastSeq, 3);
    await pass(39_000);
    assert.equal((await log.read(id, 0)).lastSeq, 3);
    await pass(2_000);
    assert.equal(await log.find(id), "expired");
    assert.deepEqual(await log.read(id, 0), { entries: [], state: "expired", lastSeq: 0 });
    assert.equal(await log.claim(id, 2, "w"), "gone");
    assert.equal((await log.append(id, writer, [end(3)])).result, "gone");
    assert.deepEqual(await log.cancel(id), { result: "gone", worker: null });
    await pass(398_000);
    assert.equal(await log.find(id), "expired");
    await pass(3_000);
    assert.equal(await log.find(id), "gone");
    assert.equal((await log.read(id, 0)).state, "gone");
  });

  checkTimes("an open one does not expire with the ended ones", 20_000, async ({ log, pass }) => {
    const { id, writer } = await running(log, 1);
    const queued = recordOf();
    await log.create(queued);
    await pass(1_000_000);
    assert.equal((await log.append(id, writer, [token(2)])).result, "ok");
    assert.equal((await log.read(id, 0)).lastSeq, 2);
    assert.equal((await statusOf(log, queued.id)).state, "queued");
  });

  check("lists are of one owner, newest first, page by page", async (log) => {
    // Two of each moment: pages also part those.
    const mine = Array.from({ length: 7 }, (_, i) => recordOf({ owner: "me", createdAt: 1000 + Math.floor(i / 2) }));
    for (const record of [...mine, recordOf({ owner: "you" }), { ...recordOf({ owner: "me" }), request: null }]) {
      await log.create(record);
    }
    const expected = mine
      .toSorted((a, b) => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1))
      .map((record) => record.id);
    for (const limit of [1, 2, 3, 6, 7, 8]) assert.deepEqual(await listed(log, "me", limit), expected);
    assert.deepEqual(await log.list("nobody", { before: null, limit: 5 }), { statuses: [], next: null });
    assert.equal((await log.list("me", { before: null, limit: 7 })).next, null);
  });

  check("a list shows how each one stands", async (log) => {
    const { id, writer } = await running(log, 2, recordOf({ owner: "me" }));
    await log.append(id, writer, [end(3)]);
    assert.deepEqual((await log.list("me", { before: null, limit: 9 })).statuses, [await statusOf(log, id)]);
  });

  checkTimes("what has expired leaves the list", 30_000, async ({ log, pass }) => {
    const old = await running(log, 1, recordOf({ owner: "me", createdAt: 1000 }));
    await log.append(old.id, old.writer, [end(2)]);
    const open = await running(log, 1, recordOf({ owner: "me", createdAt: 2000 }));
    assert.deepEqual(await listed(log, "me", 1), [open.id, old.id]);
    await pass(31_000);
    assert.deepEqual(await listed(log, "me", 1), [open.id]);
  });

  check("a page position that no page gave is refused by name", async (log) => {
    for (const before of ["", "x", "000000000001000-zz", `000000000001000-${"a".repeat(31)}`]) {
      await assert.rejects(
        log.list("me", { before, limit: 1 }),
        (error) => error instanceof AppError && error.kind === "validation" && error.field === "before",
      );
    }
  });

  check("an idempotency key stays with its first binding, per owner", async (log) => {
    const binding = { id: "a".repeat(32), bodyHash: "1" };
    const other = { id: "b".repeat(32), bodyHash: "2" };
    assert.deepEqual(await log.bindKey("me", "k: 1", binding), binding);
    assert.deepEqual(await log.bindKey("me", "k: 1", other), binding);
    assert.deepEqual(await log.bindKey("you", "k: 1", other), other);
    assert.deepEqual(await log.bindKey("me", "k: 2", other), other);
    await log.unbindKey("me", "k: 1");
    assert.deepEqual(await log.bindKey("me", "k: 1", other), other);
    await log.unbindKey("me", "never bound");
  });

  check("of many that bind one key at once, one wins", async (log) => {
    const bindings = Array.from({ length: 20 }, (_, i) => ({ id: randomBytes(16).toString("hex"), bodyHash: `${i}` }));
    const bound = await Promise.all(bindings.map((binding) => log.bindKey("me", "race", binding)));
    assert.equal(new Set(bound.map(({ id }) => id)).size, 1);
  });

  checkTimes("a key is free again after its time", 30_000, async ({ log, pass }) => {
    const other = { id: "b".repeat(32), bodyHash: "2" };
    await log.bindKey("me", "k", { id: "a".repeat(32), bodyHash: "1" });
    await pass(31_000);
    assert.deepEqual(await log.bindKey("me", "k", other), other);
  });
}

export async function claimed(log: TokenLog, id: string, attempt = 1, worker = "first"): Promise<Claim> {
  const claim = await log.claim(id, attempt, worker);
  assert.ok(typeof claim === "object", `claim was refused: ${JSON.stringify(claim)}`);
  return claim;
}

/** A generation in the hands of a writer that has appended this number of tokens. */
export async function running(
  log: TokenLog,
  count: number,
  record = recordOf(),
): Promise<{ id: string; writer: string }> {
  await log.create(record);
  const { writer } = await claimed(log, record.id);
  if (count > 0) await log.append(record.id, writer, tokens(1, count));
  return { id: record.id, writer };
}

async function statusOf(log: TokenLog, id: string): Promise<GenerationStatus> {
  const found = await log.find(id);
  assert.ok(typeof found === "object", `it is ${JSON.stringify(found)}`);
  return found;
}

async function listed(log: TokenLog, owner: string, limit: number): Promise<string[]> {
  const ids: string[] = [];
  for (let before: string | null = null; ;) {
    const page = await log.list(owner, { before, limit });
    assert.ok(page.statuses.length <= limit);
    ids.push(...page.statuses.map(({ record }) => record.id));
    before = page.next;
    if (before === null) return ids;
    assert.equal(page.statuses.length, limit);
  }
}

// A log may say more than the contract asks: nodes to push to.
function assertAppended(actual: object, expected: object): void {
  assert.deepEqual(Object.fromEntries(Object.entries(actual).filter(([name]) => name in expected)), expected);
}
