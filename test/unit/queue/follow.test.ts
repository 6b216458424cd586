// Followers pass on each entry once and in order, whatever becomes of pushes, readings and readers. On the log in memory, with pushes damaged on purpose.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn, setTimeout as sleep } from "node:timers/promises";
import { AppError, type ErrorKind } from "../../../src/errors.js";
import { followNew, follow, type FollowOptions } from "../../../src/queue/log/follow.js";
import { MemoryTokenLog } from "../../../src/queue/memory/memory-token-log.js";
import { terminalOf, type LogEntry, type Reading, type TokenLog } from "../../../src/queue/log/token-log.js";
import { Watchers, type Watch } from "../../../src/queue/log/watchers.js";
import { end, failure, recordOf, token, tokens } from "../../support/contracts/generations.js";
import { below, pick, scaled, seededRandom } from "../../support/random.js";
import { running } from "../../support/contracts/token-log-contract.js";

const open = new AbortController().signal;
/** Nothing but pushes: a reading after silence would hide what this breaks. */
const noPolling: FollowOptions = { pollMs: 1_000_000 };

function memoryLog(): MemoryTokenLog {
  return new MemoryTokenLog({ ttlMs: 60_000, now: () => performance.now() });
}

async function collect(entries: AsyncIterable<LogEntry>): Promise<LogEntry[]> {
  const all: LogEntry[] = [];
  for await (const entry of entries) all.push(entry);
  return all;
}

function fails(reading: Promise<unknown>, kind: ErrorKind): Promise<void> {
  return assert.rejects(reading, (error) => error instanceof AppError && error.kind === kind);
}

/** A log whose contents a test writes as it likes, as a Redis might that lost its last second. */
class ScriptedLog implements Pick<TokenLog, "read"> {
  readonly watchers = new Watchers();
  readonly asked: number[] = [];
  entries: LogEntry[] = [];
  absence: "gone" | "expired" | null = null;
  error: Error | null = null;

  async read(_id: string, after: number): Promise<Reading> {
    this.asked.push(after);
    const { entries, error, absence } = this;
    await turn();
    if (error !== null) throw error;
    if (absence !== null) return { entries: [], state: absence, lastSeq: 0 };
    const last = entries.at(-1);
    const isEnded = last !== undefined && terminalOf(last) !== null;
    return {
      entries: entries.filter(({ seq }) => seq > after),
      state: isEnded ? "ended" : "running",
      lastSeq: entries.length,
    };
  }

  push(...entries: LogEntry[]): void {
    this.watchers.notify("g", entries);
  }

  follow(after = 0, options: FollowOptions = noPolling): AsyncGenerator<LogEntry, void, void> {
    return follow(this, this.watchers.watch, "g", after, open, options);
  }
}

async function nextSeq(following: AsyncGenerator<LogEntry, void, void>): Promise<number | "over"> {
  const { value } = await following.next();
  return value?.seq ?? "over";
}

test("follows from every number of an ended log", async () => {
  const log = memoryLog();
  const { id, writer } = await running(log, 6);
  await log.append(id, writer, [end(7)]);
  for (let after = 0; after <= 7; after += 1) {
    const all = await collect(follow(log, log.watch, id, after, open, noPolling));
    assert.deepEqual(all, [...tokens(1, 6), end(7)].slice(after));
  }
  await fails(collect(follow(log, log.watch, id, 8, open)), "log_lost");
});

test("follows from every number of a running log, to the end by pushes alone", async () => {
  const log = memoryLog();
  const { id, writer } = await running(log, 4);
  const following = Array.from({ length: 5 }, (_, after) =>
    collect(follow(log, log.watch, id, after, open, noPolling)),
  );
  for (let seq = 5; seq <= 8; seq += 1) {
    await turn();
    await log.append(id, writer, [seq < 8 ? token(seq) : failure(seq)]);
  }
  const whole = [...tokens(1, 7), failure(8)];
  for (const [after, all] of (await Promise.all(following)).entries()) assert.deepEqual(all, whole.slice(after));
});

test("a number beyond a running log is log_lost, what never was is not_found, what has expired is gone", async () => {
  let nowMs = 0;
  const log = new MemoryTokenLog({ ttlMs: 1000, now: () => nowMs });
  const { id, writer } = await running(log, 2);
  await fails(collect(follow(log, log.watch, id, 3, open)), "log_lost");
  await fails(collect(follow(log, log.watch, "f".repeat(32), 0, open)), "not_found");
  await log.append(id, writer, [end(3)]);
  nowMs = 2000;
  await fails(collect(follow(log, log.watch, id, 0, open)), "gone");
});

test("an abort ends it with the signal's reason: before, while it waits, while its reader is busy", async () => {
  const log = memoryLog();
  const { id } = await running(log, 2);
  const reason = new AppError("cancelled", "left");
  await assert.rejects(collect(follow(log, log.watch, id, 0, AbortSignal.abort(reason))), reason);
  const waiting = new AbortController();
  const all = collect(follow(log, log.watch, id, 0, waiting.signal, noPolling));
  await sleep(5);
  waiting.abort(reason);
  await assert.rejects(all, reason);
  const busy = new AbortController();
  const following = follow(log, log.watch, id, 1, busy.signal, noPolling);
  assert.equal(await nextSeq(following), 2);
  busy.abort(reason);
  await assert.rejects(following.next(), reason);
});

test("whoever leaves is no longer woken", async () => {
  const log = memoryLog();
  const { id } = await running(log, 2);
  const watchers = new Watchers();
  for await (const { seq } of follow(log, watchers.watch, id, 0, open)) {
    assert.deepEqual(watchers.ids, [id]);
    if (seq === 2) break;
  }
  assert.deepEqual(watchers.ids, []);
  await fails(collect(follow(log, watchers.watch, id, 9, open)), "log_lost");
  assert.deepEqual(watchers.ids, []);
});

test("a slow reader holds up nobody and misses nothing", async () => {
  const log = memoryLog();
  const { id, writer } = await running(log, 1);
  const following = follow(log, log.watch, id, 0, open, noPolling);
  assert.equal(await nextSeq(following), 1);
  for (let seq = 2; seq <= 500; seq += 1) await log.append(id, writer, [token(seq)]);
  await log.append(id, writer, [end(501)]);
  assert.deepEqual(await collect(following), [...tokens(2, 500), end(501)]);
});

test("a lost push is read from the log as soon as a later one shows the hole", async () => {
  const log = new ScriptedLog();
  log.entries = [token(1)];
  const following = log.follow();
  assert.equal(await nextSeq(following), 1);
  const next = nextSeq(following);
  log.entries = tokens(1, 3);
  log.push(token(3));
  assert.equal(await next, 2);
  assert.equal(await nextSeq(following), 3);
  assert.deepEqual(log.asked, [0, 1]);
});

test("pushes alone need no readings", async () => {
  const log = new ScriptedLog();
  const following = log.follow();
  const next = following.next();
  await sleep(5);
  log.entries = tokens(1, 1);
  log.push(token(1));
  await next;
  for (let seq = 2; seq <= 20; seq += 1) {
    log.entries.push(token(seq));
    log.push(token(seq - 1), token(seq));
    assert.equal(await nextSeq(following), seq);
  }
  assert.deepEqual(log.asked, [0]);
});

test("what is expected needs no reading at all, and misses nothing that comes before it is read on", async () => {
  const log = new ScriptedLog();
  const expected = followNew(log, log.watchers.watch, "g", noPolling);
  log.push(...tokens(1, 2));
  await turn();
  log.push(token(3));
  const following = expected.entries(open);
  assert.equal(await nextSeq(following), 1);
  log.push(end(4));
  assert.deepEqual(await collect(following), [...tokens(2, 3), end(4)]);
  assert.deepEqual(log.asked, []);
  assert.deepEqual(log.watchers.ids, []);
});

test("what is expected is read where pushes leave a hole", async () => {
  const log = new ScriptedLog();
  const following = followNew(log, log.watchers.watch, "g", noPolling).entries(open);
  const next = following.next();
  await turn();
  log.entries = tokens(1, 2);
  log.push(token(2));
  assert.equal((await next).value?.seq, 1);
  assert.equal(await nextSeq(following), 2);
  assert.deepEqual(log.asked, [0]);
});

test("what is expected is read seldom while it has no entries, then as often as all", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const log = new ScriptedLog();
  const pollMs = 20;
  const following = followNew(log, log.watchers.watch, "g", { pollMs }).entries(open);
  const first = nextSeq(following);
  log.entries = [token(1)];
  await turn();
  t.mock.timers.tick(4 * pollMs - 1);
  await turn();
  assert.deepEqual(log.asked, []);
  t.mock.timers.tick(1);
  assert.equal(await first, 1);
  const last = nextSeq(following);
  log.entries = [token(1), end(2)];
  await turn();
  const readings = log.asked.length;
  t.mock.timers.tick(pollMs);
  assert.equal(await last, 2);
  assert.equal(log.asked.length, readings + 1);
});

test("what was expected and is not wanted is no longer watched", async () => {
  const log = new ScriptedLog();
  const { watchers } = log;
  followNew(log, watchers.watch, "g").close();
  assert.deepEqual(watchers.ids, []);
  const expected = followNew(log, watchers.watch, "g");
  await assert.rejects(expected.entries(AbortSignal.abort(new Error("left"))).next(), /left/);
  expected.close();
  assert.deepEqual(watchers.ids, []);
});

test("silence is broken by reading", async () => {
  const log = new ScriptedLog();
  log.entries = [token(1)];
  const following = log.follow(0, { pollMs: 10 });
  assert.equal(await nextSeq(following), 1);
  const next = nextSeq(following);
  await sleep(30);
  log.entries = [token(1), end(2)];
  assert.equal(await next, 2);
  assert.equal(await nextSeq(following), "over");
});

test("the log got shorter and was written alike again: followed on, without a repeat", async () => {
  const log = new ScriptedLog();
  log.entries = tokens(1, 6);
  const following = log.follow(2);
  for (const seq of [3, 4, 5, 6]) assert.equal(await nextSeq(following), seq);
  const next = nextSeq(following);
  log.entries = tokens(1, 4);
  log.push();
  await sleep(5);
  log.entries = tokens(1, 8);
  log.push(token(7), token(8));
  assert.equal(await next, 7);
  assert.equal(await nextSeq(following), 8);
});

test("the log got shorter and was written otherwise: log_lost, whether a push, a reading or a hint shows it", async () => {
  const other = [...tokens(1, 3), token(4, 77), ...tokens(5, 9)];
  const shows: ((log: ScriptedLog) => void)[] = [
    (log) => log.push(token(4, 77)),
    (log) => log.push(),
    (log) => {
      log.entries = tokens(1, 3);
      log.push();
    },
    (log) => log.push(failure(4)),
  ];
  for (const show of shows) {
    const log = new ScriptedLog();
    log.entries = tokens(1, 6);
    const following = log.follow(1, { pollMs: 10 });
    for (const seq of [2, 3, 4, 5, 6]) assert.equal(await nextSeq(following), seq);
    const failing = fails(following.next(), "log_lost");
    await sleep(3);
    log.entries = other;
    show(log);
    await sleep(30);
    log.entries = other;
    await failing;
  }
});

test("a log that ended shorter than what was passed on, or vanished, is lost; one that expired is gone", async () => {
  const changes: [(log: ScriptedLog) => void, ErrorKind][] = [
    [(log) => (log.entries = [...tokens(1, 2), failure(3)]), "log_lost"],
    [(log) => (log.absence = "gone"), "log_lost"],
    [(log) => (log.absence = "expired"), "gone"],
  ];
  for (const [change, kind] of changes) {
    const log = new ScriptedLog();
    log.entries = tokens(1, 5);
    const following = log.follow(3, { pollMs: 10 });
    for (const seq of [4, 5]) assert.equal(await nextSeq(following), seq);
    const failing = fails(following.next(), kind);
    change(log);
    await failing;
  }
});

test("what was pushed before a hint is not believed after it", async () => {
  const log = new ScriptedLog();
  log.entries = tokens(1, 2);
  const following = log.follow();
  for (const seq of [1, 2]) assert.equal(await nextSeq(following), seq);
  // Its reader is busy meanwhile: entry 3 was pushed, then lost, and another writer chose another one.
  log.push(token(3, 333));
  log.push();
  log.entries = [...tokens(1, 2), token(3), end(4)];
  assert.deepEqual((await following.next()).value, token(3));
  assert.equal(await nextSeq(following), 4);
});

const down = new AppError("unavailable", "down", { retryAfterSeconds: 1 });

test("what is read while something may have been missed is read again", async () => {
  const log = new ScriptedLog();
  log.entries = tokens(1, 3);
  const following = log.follow();
  for (const seq of [1, 2, 3]) assert.equal(await nextSeq(following), seq);
  const failing = fails(following.next(), "log_lost");
  await turn();
  log.push();
  while (log.asked.length < 2) await Promise.resolve();
  // The reading under way is of the old story.
  log.entries = [token(1), token(2, 222), token(3)];
  log.push();
  await failing;
});

test("a log that was away is compared when it is back", async () => {
  const log = new ScriptedLog();
  log.entries = tokens(1, 3);
  const following = log.follow(0, { pollMs: 2 });
  for (const seq of [1, 2, 3]) assert.equal(await nextSeq(following), seq);
  log.error = down;
  const failing = fails(following.next(), "log_lost");
  const before = log.asked.length;
  while (log.asked.length < before + 3) await sleep(1);
  log.entries = [token(1), token(2, 222), ...tokens(3, 4)];
  log.error = null;
  await failing;
});

test("a log that is away is waited for, up to a limit that begins anew each time; faults are not waited for", async () => {
  const log = new ScriptedLog();
  let nowMs = 0;
  const following = log.follow(0, { pollMs: 2, unreachableMs: 1000, now: () => nowMs });
  for (const seq of [1, 2, 3]) {
    log.error = down;
    const next = nextSeq(following);
    for (const stop = log.asked.length + 3; log.asked.length < stop;) await sleep(1);
    nowMs += 900;
    for (const stop = log.asked.length + 3; log.asked.length < stop;) await sleep(1);
    log.entries = tokens(1, seq);
    log.error = null;
    assert.equal(await next, seq);
  }
  log.error = down;
  const failing = fails(following.next(), "unavailable");
  for (const stop = log.asked.length + 3; log.asked.length < stop;) await sleep(1);
  nowMs += 1000;
  await failing;
  log.error = new TypeError("a fault");
  await assert.rejects(collect(log.follow()), TypeError);
});

/** Loses, repeats, delays and reorders pushes; sometimes says that something may have been missed. */
function damaged(watch: Watch, random: () => number): Watch {
  return (id, onEntries) => {
    const late: LogEntry[] = [];
    return watch(id, (entries) => {
      const fate = pick(random, ["pass", "pass", "lose", "repeat", "delay", "hint", "reverse"]);
      if (fate === "delay") late.push(...entries);
      if (fate === "reverse") onEntries(entries.toReversed());
      if (fate === "hint") onEntries([]);
      if (fate === "pass" || fate === "repeat") onEntries(entries);
      if (fate === "repeat" || random() < 0.2) onEntries(late.splice(0));
    });
  };
}

/** Follows to the end as clients do: drops out anywhere, comes back with the last number it saw. */
async function followAsClient(log: MemoryTokenLog, id: string, random: () => number): Promise<LogEntry[]> {
  const seen: LogEntry[] = [];
  for (;;) {
    const patience = 1 + below(random, 12);
    let count = 0;
    for await (const entry of follow(log, damaged(log.watch, random), id, seen.length, open, { pollMs: 2 })) {
      seen.push(entry);
      if (random() < 0.3) await sleep(below(random, 3));
      count += 1;
      if (count === patience) break;
    }
    const last = seen.at(-1);
    if (last !== undefined && terminalOf(last) !== null) return seen;
  }
}

test("readers that drop and resume at random, over damaged pushes, each see the whole log once", async () => {
  for (let seed = 1; seed <= scaled(25); seed += 1) {
    const random = seededRandom(seed);
    const log = memoryLog();
    const { id, writer } = await running(log, 0, recordOf());
    const length = 1 + below(random, 60);
    const whole = [...tokens(1, length - 1), end(length)];
    const readers = [1, 2, 3, 4].map(() => followAsClient(log, id, seededRandom(below(random, 1e9))));
    for (let from = 0; from < length;) {
      const count = 1 + below(random, 4);
      await log.append(id, writer, whole.slice(from, from + count));
      from += count;
      if (random() < 0.5) await sleep(below(random, 3));
    }
    for (const seen of await Promise.all(readers)) assert.deepEqual(seen, whole, `seed ${seed}`);
  }
});
