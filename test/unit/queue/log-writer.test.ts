// The log writer over a log that loses replies, forgets entries and turns it away.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turnsEnd, setTimeout as sleep } from "node:timers/promises";
import { AppError } from "../../../src/errors.js";
import type { Prepared } from "../../../src/generation.js";
import { LogWriter, type LogWriterOptions } from "../../../src/queue/redis/log-writer.js";
import { MemoryTokenLog } from "../../../src/queue/memory/memory-token-log.js";
import type { AppendRequest } from "../../../src/queue/redis/redis-token-log.js";
import type { Claim, Refusal } from "../../../src/queue/log/token-log.js";
import { end, recordOf, token, tokens } from "../../support/contracts/generations.js";

async function claimed(
  log: MemoryTokenLog,
  attempt = 1,
  id?: string,
  prepared: Partial<Prepared> = {},
): Promise<Claim> {
  const plain = recordOf(id === undefined ? {} : { id });
  const record = { ...plain, prepared: { ...plain.prepared, ...prepared } };
  await log.create(record);
  const claim = await log.claim(record.id, attempt, "w");
  assert.ok(typeof claim === "object");
  return claim;
}

function setUp(overrides: Partial<LogWriterOptions> = {}) {
  const log = new MemoryTokenLog({ ttlMs: 60_000, now: () => performance.now() });
  const flushes: AppendRequest[][] = [];
  const heard: (Refusal | "cancelled")[] = [];
  let fenced = 0;
  const append = (requests: readonly AppendRequest[]) =>
    Promise.all(
      requests.map(async ({ id, writer, entries }) => ({ ...(await log.append(id, writer, entries)), nodes: [] })),
    );
  const writer = new LogWriter({
    flush: (requests) => {
      flushes.push([...requests]);
      return append(requests);
    },
    onAppended: () => undefined,
    onFenced: () => (fenced += 1),
    onFault: () => undefined,
    retryMs: 1,
    gatherMs: 0,
    wholeGatherMs: 0,
    ...overrides,
  });
  const listener = {
    onCancelled: () => void heard.push("cancelled"),
    onRefused: (refusal: Refusal) => void heard.push(refusal),
  };
  return { log, writer, listener, flushes, heard, append, fenced: () => fenced };
}

test("all that one turn brings goes out in one flush", async () => {
  const { log, writer, listener, flushes } = setUp();
  const tails = [writer.open(await claimed(log), listener), writer.open(await claimed(log), listener)];
  for (const tail of tails) for (const { event } of tokens(1, 3)) tail.append(event);
  await Promise.all(tails.map((tail) => tail.written()));
  assert.equal(flushes.length, 1);
  assert.deepEqual(
    flushes[0]!.map(({ entries }) => entries),
    [tokens(1, 3), tokens(1, 3)],
  );
  for (const tail of tails) assert.equal((await log.read(tail.id, 0)).lastSeq, 3);
});

test("tokens behind the first gather; first ones, the end and who waits for the log do not", async () => {
  const { log, writer, listener, flushes } = setUp({ gatherMs: 60_000 });
  const tail = writer.open(await claimed(log), listener);
  // Not a time: where cores are short a timer of some milliseconds is due before the turn's end.
  const turn = async () => {
    await turnsEnd();
    await turnsEnd();
  };
  for (const { event } of tokens(1, 4)) {
    tail.append(event);
    await turn();
  }
  const other = writer.open(await claimed(log), listener);
  other.append(token(1).event);
  await turn();
  await tail.written();
  other.append(token(2).event);
  await turn();
  other.append(end(3).event);
  await other.written();
  assert.deepEqual(
    flushes.map((requests) => requests.map(({ entries }) => entries)),
    [[tokens(1, 1)], [tokens(1, 1)], [tokens(2, 4)], [[token(2), end(3)]]],
  );
});

test("gathered tokens go out by themselves", async () => {
  const { log, writer, listener } = setUp({ gatherMs: 20 });
  const tail = writer.open(await claimed(log), listener);
  for (const { event } of tokens(1, 3)) {
    tail.append(event);
    await sleep(1);
  }
  for (let tries = 0; tries < 1000 && (await log.read(tail.id, 0)).lastSeq < 3; tries += 1) await sleep(10);
  assert.deepEqual((await log.read(tail.id, 0)).entries, tokens(1, 3));
});

test("where nobody looks at single tokens they gather for longer, and hold up nobody else's", async () => {
  const { log, writer, listener, flushes } = setUp({ gatherMs: 1, wholeGatherMs: 60_000 });
  const whole = writer.open(await claimed(log, 1, undefined, { readsWhole: true }), listener);
  const read = writer.open(await claimed(log), listener);
  whole.append(token(1).event);
  await whole.written();
  for (const { event } of tokens(2, 4)) whole.append(event);
  await sleep(5);
  // The writer rests for the whole one; a token that is read comes meanwhile.
  read.append(token(1).event);
  await read.written();
  read.append(token(2).event);
  for (let tries = 0; tries < 1000 && (await log.read(read.id, 0)).lastSeq < 2; tries += 1) await sleep(5);
  assert.equal((await log.read(read.id, 0)).lastSeq, 2);
  assert.ok(flushes.slice(1).every((requests) => requests.every(({ id }) => id === read.id)));
  whole.append(end(5).event);
  await whole.written();
  assert.deepEqual((await log.read(whole.id, 0)).entries, [...tokens(1, 4), end(5)]);
});

test("a reply that is lost: the same append again, whether it had worked or not", async () => {
  let calls = 0;
  const { log, writer, listener, append } = setUp({
    flush: async (requests) => {
      calls += 1;
      if (calls === 2) await append(requests);
      if (calls <= 2) throw new AppError("unavailable", "cut");
      return append(requests);
    },
  });
  const tail = writer.open(await claimed(log), listener);
  tail.append(token(1).event);
  await tail.written();
  tail.append(token(2).event);
  await tail.written();
  assert.deepEqual((await log.read(tail.id, 0)).entries, tokens(1, 2));
  assert.equal(calls, 4);
});

test("a log that forgot its end gets it again out of memory", async () => {
  const first = setUp();
  const claim = await claimed(first.log);
  const later = setUp();
  let log = first;
  const writer = new LogWriter({
    flush: (requests) => log.append(requests),
    onAppended: () => undefined,
    onFenced: () => undefined,
    onFault: () => undefined,
    retryMs: 1,
    gatherMs: 0,
    wholeGatherMs: 0,
  });
  const tail = writer.open(claim, first.listener);
  for (const { event } of tokens(1, 4)) tail.append(event);
  await tail.written();
  // Another log, with the same claim and less in it, stands for one that was restored from an older copy.
  const older = await claimed(later.log, 1, claim.record.id);
  await later.log.append(claim.record.id, older.writer, tokens(1, 2));
  log = {
    ...later,
    append: (requests) => later.append(requests.map((request) => ({ ...request, writer: older.writer }))),
  };
  tail.append(token(5).event);
  await tail.written();
  assert.deepEqual((await later.log.read(claim.record.id, 0)).entries, tokens(1, 5));
});

test("a fenced writer is told once, sends nothing more, and lets nobody wait", async () => {
  const { log, writer, listener, heard, flushes, fenced } = setUp();
  const claim = await claimed(log);
  const tail = writer.open(claim, listener);
  await log.claim(claim.record.id, 2, "other");
  tail.append(token(1).event);
  tail.append(token(2).event);
  await tail.written();
  tail.append(token(3).event);
  await tail.written();
  await sleep(10);
  assert.deepEqual(heard, ["fenced"]);
  assert.equal(fenced(), 1);
  assert.equal(flushes.length, 1);
  assert.equal((await log.read(claim.record.id, 0)).lastSeq, 0);
});

test("the cancel flag comes back with an append", async () => {
  const { log, writer, listener, heard } = setUp();
  const tail = writer.open(await claimed(log), listener);
  await log.cancel(tail.id);
  tail.append(token(1).event);
  await tail.written();
  assert.deepEqual(heard, ["cancelled"]);
});

test("one generation that Redis makes no sense of does not hold up the others", async () => {
  const faults: string[] = [];
  let bad = "";
  const { log, writer, listener, heard, append } = setUp({
    flush: async (requests) => {
      if (requests.some(({ id }) => id === bad)) throw new Error("WRONGTYPE");
      return append(requests);
    },
    onFault: (id) => void faults.push(id),
  });
  const tails = [writer.open(await claimed(log), listener), writer.open(await claimed(log), listener)];
  bad = tails[0]!.id;
  for (const tail of tails) tail.append(token(1).event);
  await Promise.all(tails.map((tail) => tail.written()));
  assert.deepEqual(faults, [bad]);
  assert.deepEqual(heard, ["gone"]);
  assert.equal((await log.read(tails[1]!.id, 0)).lastSeq, 1);
});

test("a listener that throws holds up nobody: not the others of its flush, and nothing after it", async () => {
  const faults: string[] = [];
  const { log, writer, listener } = setUp({ onFault: (id) => void faults.push(id) });
  const throwing = { ...listener, onCancelled: () => assert.fail("a fault of the listener") };
  const [first, second] = [writer.open(await claimed(log), throwing), writer.open(await claimed(log), listener)];
  await log.cancel(first.id);
  for (const tail of [first, second]) tail.append(token(1).event);
  await Promise.all([first.written(), second.written()]);
  second.append(token(2).event);
  await second.written();
  assert.equal((await log.read(second.id, 0)).lastSeq, 2);
  assert.deepEqual(faults, [first.id]);
});
