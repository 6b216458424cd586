// Shared logs on a real Redis: streams survive what happens to connections and to Redis itself, or end with the truth.
import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { SharedLog } from "../../../src/queue/redis/shared-log.js";
import { terminalOf, type LogEntry } from "../../../src/queue/log/token-log.js";
import { end, token, tokens } from "../../support/contracts/generations.js";
import { below, scaled, seededRandom } from "../../support/random.js";
import { withoutRedis } from "../../support/servers/redis.js";
import { claimed, running } from "../../support/contracts/token-log-contract.js";
import { until } from "../../support/until.js";
import { collect, fails, insist, open, setUp } from "../../support/servers/shared-logs.js";

test("streams survive cut connections of every kind", { skip: withoutRedis }, async (t) => {
  const { connect, admin } = await setUp(t);
  const [worker, node] = [await connect("w"), await connect("n")];
  const one = await running(worker.log, 0);
  const readers = [0, 0, 0].map((after) => collect(node.follow(one.id, after, open())));
  for (let seq = 1; seq <= 60; seq += 1) {
    if (seq % 10 === 5) await admin.call("CLIENT", "KILL", "TYPE", "pubsub");
    if (seq % 20 === 9) await admin.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await insist(worker, [{ ...one, entries: [seq < 60 ? token(seq) : end(seq)] }]);
    await sleep(5);
  }
  for (const seen of await Promise.all(readers)) assert.deepEqual(seen, [...tokens(1, 59), end(60)]);
  // It registered at each new connection, and still is there once.
  assert.deepEqual((await worker.log.append(one.id, one.writer, [])).nodes, ["n"]);
});

test("streams survive crashes of a Redis that keeps a file", { skip: withoutRedis }, async (t) => {
  const { connect, server } = await setUp(t, true);
  const [worker, node] = [await connect("w"), await connect("n", { pollMs: 200 })];
  const generations = await Promise.all(Array.from({ length: 5 }, () => running(worker.log, 0)));
  const readers = generations.map(({ id }) => collect(node.follow(id, 0, open())));
  let restarting = Promise.resolve();
  for (let seq = 1; seq <= 40; seq += 1) {
    if (seq % 15 === 0) {
      await restarting;
      await server.kill();
      restarting = sleep(100).then(() => server.restart());
    }
    const entries = [seq < 40 ? token(seq) : end(seq)];
    await insist(
      worker,
      generations.map((one) => ({ ...one, entries })),
    );
  }
  for (const seen of await Promise.all(readers)) assert.deepEqual(seen, [...tokens(1, 39), end(40)]);
  await restarting;
});

test(
  "a Redis that comes back empty: the stream ends with log_lost, the writer is told, nobody hangs",
  { skip: withoutRedis },
  async (t) => {
    const { connect, server } = await setUp(t);
    const [worker, node] = [await connect("w"), await connect("n", { pollMs: 100 })];
    const one = await running(worker.log, 3);
    const following = node.follow(one.id, 0, open());
    for (const seq of [1, 2, 3]) assert.equal((await following.next()).value?.seq, seq);
    await server.kill();
    await server.restart();
    await fails(following.next(), "log_lost");
    await until(() => worker.commands.isUp);
    assert.equal((await worker.log.append(one.id, one.writer, [token(4)])).result, "gone");
  },
);

test("a Redis that stays away ends streams as unavailable after their patience", { skip: withoutRedis }, async (t) => {
  const { connect, server } = await setUp(t);
  const node = await connect("n", { pollMs: 50, unreachableMs: 500 });
  const one = await running(node.log, 1);
  const following = node.follow(one.id, 0, open());
  await following.next();
  await server.kill();
  await fails(following.next(), "unavailable");
});

test(
  "readers that drop and resume at random, while connections are cut at random, each see the whole log once",
  { skip: withoutRedis },
  async (t) => {
    const { connect, admin } = await setUp(t);
    const [worker, near, far] = [
      await connect("w"),
      await connect("near", { pollMs: 200 }),
      await connect("far", { pollMs: 200 }),
    ];
    for (let seed = 1; seed <= scaled(8); seed += 1) {
      const random = seededRandom(seed);
      const one = await running(worker.log, 0);
      const length = 20 + below(random, 40);
      const whole = [...tokens(1, length - 1), end(length)];
      const readers = [near, far, near].map((node) => followAsClient(node, one.id, seededRandom(below(random, 1e9))));
      for (let from = 0; from < length;) {
        const count = 1 + below(random, 4);
        await insist(worker, [{ ...one, entries: whole.slice(from, from + count) }]);
        from += count;
        if (random() < 0.05) await admin.call("CLIENT", "KILL", "TYPE", "pubsub");
        if (random() < 0.05) await admin.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
        await sleep(below(random, 4));
      }
      for (const seen of await Promise.all(readers)) assert.deepEqual(seen, whole, `seed ${seed}`);
    }
  },
);

async function followAsClient(node: SharedLog, id: string, random: () => number): Promise<LogEntry[]> {
  const seen: LogEntry[] = [];
  for (;;) {
    let patience = 1 + below(random, 15);
    for await (const entry of node.follow(id, seen.length, open())) {
      seen.push(entry);
      if (random() < 0.1) await sleep(below(random, 10));
      patience -= 1;
      if (patience === 0) break;
    }
    const last = seen.at(-1);
    if (last !== undefined && terminalOf(last) !== null) return seen;
  }
}

test("who begins to follow while Redis is away is pushed to when it is back", { skip: withoutRedis }, async (t) => {
  const { connect, server } = await setUp(t, true);
  const [worker, node] = [await connect("w"), await connect("n")];
  const one = await running(worker.log, 1);
  await server.kill();
  await until(() => !node.commands.isUp);
  const reader = collect(node.follow(one.id, 0, open()));
  await server.restart();
  await until(() => worker.commands.isUp);
  await until(async () => (await worker.flush([{ ...one, entries: [] }]))[0]?.nodes.length === 1);
  await worker.flush([{ ...one, entries: [token(2), end(3)] }]);
  assert.deepEqual(await reader, [...tokens(1, 2), end(3)]);
});

/** A reader has seen 15 tokens; then Redis comes back as it was at the tenth. */
async function forgetful(t: TestContext) {
  const { connect, admin, server } = await setUp(t);
  const [worker, node] = [await connect("w"), await connect("n", { pollMs: 100 })];
  const one = await running(worker.log, 10);
  await admin.save();
  const following = node.follow(one.id, 0, open());
  await worker.flush([{ ...one, entries: tokens(11, 15) }]);
  for (let seq = 1; seq <= 15; seq += 1) assert.equal((await following.next()).value?.seq, seq);
  const next = following.next();
  await server.kill();
  await server.restart();
  await until(() => worker.commands.isUp);
  return { worker, node, one, following, next };
}

test(
  "a Redis that comes back shorter: what its writer brings again is followed on, without a repeat",
  { skip: withoutRedis },
  async (t) => {
    const { worker, node, one, following, next } = await forgetful(t);
    // Whoever resumes above the log is told, not left waiting.
    await fails(node.follow(one.id, 15, open()).next(), "log_lost");
    assert.deepEqual(
      (await worker.flush([{ ...one, entries: [token(16)] }])).map(({ result, lastSeq }) => [result, lastSeq]),
      [["gap", 10]],
    );
    await worker.flush([{ ...one, entries: tokens(11, 13) }]);
    await worker.flush([{ ...one, entries: tokens(14, 17) }]);
    await worker.flush([{ ...one, entries: [end(18)] }]);
    assert.equal((await next).value?.seq, 16);
    assert.deepEqual(await collect(following), [token(17), end(18)]);
  },
);

test(
  "a Redis that comes back shorter, and a writer that goes on otherwise: log_lost, never two texts in one",
  { skip: withoutRedis },
  async (t) => {
    const { worker, one, next } = await forgetful(t);
    const failing = fails(next, "log_lost");
    const { writer, entries } = await claimed(worker.log, one.id, 2);
    assert.deepEqual(entries, tokens(1, 10));
    await worker.flush([{ id: one.id, writer, entries: [token(11), token(12, 999), ...tokens(13, 17), end(18)] }]);
    await failing;
  },
);
