// The token log of one process keeps the contract, within its memory.
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { MemoryTokenLog } from "../../src/queue/memory/memory-token-log.js";
import type { LogEntry } from "../../src/queue/log/token-log.js";
import { end, recordOf, tokens } from "../support/contracts/generations.js";
import {
  claimed,
  running,
  testTokenLogContract,
  type ContractOptions,
} from "../support/contracts/token-log-contract.js";
import { scaled } from "../support/random.js";
import { testTokenLogModel } from "../support/contracts/token-log-model.js";

const options: ContractOptions = {
  skip: false,
  async build({ ttlMs }) {
    let nowMs = 0;
    const log = new MemoryTokenLog({ ttlMs, now: () => nowMs });
    return {
      log,
      pass: async (ms) => void (nowMs += ms),
      dispose: async () => undefined,
    };
  },
};

testTokenLogContract("MemoryTokenLog", options);
testTokenLogModel("MemoryTokenLog", options, scaled(500));

test("of too many ended tokens the oldest generations expire early, open ones never", async () => {
  const log = new MemoryTokenLog({ ttlMs: 60_000, now: () => 0, maxEndedTokens: 100 });
  const open = await running(log, 200);
  const ended: string[] = [];
  for (let i = 0; i < 6; i += 1) {
    const { id, writer } = await running(log, 9);
    await log.append(id, writer, [end(10)]);
    ended.push(id);
  }
  // An end repeats its tokens: 20 each, and a little for the source.
  const found = await Promise.all(ended.map((id) => log.find(id)));
  assert.deepEqual(
    found.map((one) => typeof one === "string"),
    [true, true, false, false, false, false],
  );
  assert.equal((await log.read(open.id, 0)).lastSeq, 200);
});

test("one generation that is too much alone is kept until the next", async () => {
  const log = new MemoryTokenLog({ ttlMs: 60_000, now: () => 0, maxEndedTokens: 10 });
  const first = await running(log, 50);
  await log.append(first.id, first.writer, [end(51)]);
  assert.equal((await log.read(first.id, 0)).lastSeq, 51);
  const second = await running(log, 1);
  await log.append(second.id, second.writer, [end(2)]);
  assert.equal((await log.read(first.id, 0)).state, "expired");
  assert.equal((await log.read(second.id, 0)).state, "ended");
});

test("followers are woken within append and cancel, with what is new", async () => {
  const log = new MemoryTokenLog({ ttlMs: 60_000, now: () => 0 });
  const record = recordOf();
  await log.create(record);
  const seen: LogEntry[][] = [];
  const unwatch = log.watch(record.id, (entries) => seen.push([...entries]));
  const { writer } = await claimed(log, record.id);
  await log.append(record.id, writer, tokens(1, 2));
  await log.append(record.id, writer, tokens(2, 3));
  await log.append(record.id, writer, tokens(1, 3));
  await log.append(record.id, "other", tokens(4, 4));
  assert.deepEqual(seen, [tokens(1, 2), tokens(3, 3)]);
  unwatch();
  unwatch();
  await log.append(record.id, writer, tokens(4, 4));
  assert.equal(seen.length, 2);
});

test("what is read often expires when it is due, and goes first when there is too much, all the same", async () => {
  let nowMs = 0;
  const log = new MemoryTokenLog({ ttlMs: 10, now: () => nowMs, maxEndedTokens: 50 });
  const ended: string[] = [];
  for (let i = 0; i < 3; i += 1) {
    const { id, writer } = await running(log, 9);
    await log.append(id, writer, [end(10)]);
    ended.push(id);
    for (const one of ended) await log.find(one);
  }
  const state = async (i: number) => (await log.read(ended[i]!, 0)).state;
  assert.deepEqual(await Promise.all([state(0), state(1), state(2)]), ["expired", "ended", "ended"]);
  nowMs = 10;
  assert.deepEqual(await Promise.all([state(1), state(2)]), ["ended", "ended"]);
  nowMs = 11;
  assert.deepEqual(await Promise.all([state(1), state(2)]), ["expired", "expired"]);
});

test("a key is bound for its time, and free again after that", async () => {
  let nowMs = 0;
  const log = new MemoryTokenLog({ ttlMs: 10, now: () => nowMs });
  const bind = async (id: string) => (await log.bindKey("me", "k", { id, bodyHash: "h" })).id;
  assert.equal(await bind("a"), "a");
  nowMs = 10;
  assert.equal(await bind("b"), "a", "asking does not bind it for longer");
  nowMs = 11;
  assert.equal(await bind("c"), "c");
});

test("memory is given back without anybody asking", async () => {
  let nowMs = 0;
  const log = new MemoryTokenLog({ ttlMs: 5, now: () => nowMs });
  const collected: string[] = [];
  const registry = new FinalizationRegistry<string>((held) => collected.push(held));
  await (async () => {
    const record = recordOf();
    registry.register(record, "record");
    await log.create(record);
    const { writer } = await claimed(log, record.id);
    await log.append(record.id, writer, [end(1)]);
  })();
  nowMs = 100;
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  for (let tries = 0; collected.length === 0 && tries < 500; tries += 1) {
    await sleep(10);
    collectGarbage();
  }
  assert.deepEqual(collected, ["record"]);
});
