// Two processes' worth of connections on one real Redis: pushes reach followers, and streams survive what happens to connections and to Redis itself.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { AppError, type ErrorKind } from "../../../src/errors.js";
import type { FollowOptions } from "../../../src/queue/log/follow.js";
import { channelOf, messagesOf, parsePushes } from "../../../src/queue/redis/pushes.js";
import { connectRedis } from "../../../src/queue/redis/redis.js";
import type { AppendRequest } from "../../../src/queue/redis/redis-token-log.js";
import { SharedLog } from "../../../src/queue/redis/shared-log.js";
import { createScript } from "../../../src/queue/redis/token-log-scripts.js";
import { terminalOf, type LogEntry } from "../../../src/queue/log/token-log.js";
import { end, recordOf, token, tokens } from "../../support/contracts/generations.js";
import { below, scaled, seededRandom } from "../../support/random.js";
import { freePort, RedisServer, withoutRedis } from "../../support/servers/redis.js";
import { claimed, running } from "../../support/contracts/token-log-contract.js";
import { until } from "../../support/until.js";

const open = (): AbortSignal => new AbortController().signal;
const neverPolls: FollowOptions = { pollMs: 1_000_000 };

/** A server of this test's own, and a way to connect API nodes and workers that are closed at its end. */
async function setUp(t: TestContext, isDurable = false) {
  const server = await RedisServer.start({ isDurable });
  const prefix = `t${randomUUID().slice(0, 8)}`;
  const admin = new Redis(server.url);
  admin.on("error", () => undefined);
  const connected: SharedLog[] = [];
  const connect = async (nodeId: string, follow: FollowOptions = neverPolls): Promise<SharedLog> => {
    const shared = new SharedLog({ url: server.url, prefix, ttlMs: 60_000, nodeId, follow });
    connected.push(shared);
    await untilUp(shared);
    const channel = channelOf(prefix, nodeId);
    await until(async () => (await admin.pubsub("NUMSUB", channel))[1] === 1);
    return shared;
  };
  t.after(async () => {
    admin.disconnect();
    await Promise.all(connected.map((shared) => shared.close()));
    await server.stop();
  });
  return { server, prefix, connect, admin };
}

async function untilUp({ commands }: SharedLog): Promise<void> {
  if (commands.isUp) return;
  await new Promise<void>((resolve) => {
    const stop = commands.onChange((isUp) => {
      if (!isUp) return;
      stop();
      resolve();
    });
  });
}

function fails(acting: Promise<unknown>, kind: ErrorKind): Promise<void> {
  return assert.rejects(acting, (error) => error instanceof AppError && error.kind === kind);
}

async function collect(entries: AsyncIterable<LogEntry>): Promise<LogEntry[]> {
  const all: LogEntry[] = [];
  for await (const entry of entries) all.push(entry);
  return all;
}

/** As a worker does: the same again until it is in. */
async function insist(worker: SharedLog, requests: readonly AppendRequest[]): Promise<void> {
  for (let tries = 0; tries < 1000; tries += 1) {
    try {
      for (const { result } of await worker.flush(requests)) assert.equal(result, "ok");
      return;
    } catch (error) {
      if (!(error instanceof AppError && error.kind === "unavailable")) throw error;
      await sleep(20);
    }
  }
  throw new Error("Redis did not come back");
}

test(
  "flushes of many generations reach the followers of each on every node, by pushes alone",
  { skip: withoutRedis },
  async (t) => {
    const { connect } = await setUp(t);
    const [worker, near, far] = [await connect("w"), await connect("near"), await connect("far")];
    const generations = await Promise.all(Array.from({ length: 20 }, () => running(worker.log, 0)));
    const readers = generations.flatMap(({ id }) =>
      [near, far, near].map((node) => collect(node.follow(id, 0, open()))),
    );
    await until(async () =>
      (await worker.flush(generations.map((one) => ({ ...one, entries: [] })))).every(
        ({ nodes }) => nodes.length === 2,
      ),
    );
    for (let seq = 1; seq <= 30; seq += 1) {
      const entries = seq < 30 ? [token(seq)] : [end(seq)];
      await insist(
        worker,
        generations.map((one) => ({ ...one, entries })),
      );
    }
    for (const seen of await Promise.all(readers)) assert.deepEqual(seen, [...tokens(1, 29), end(30)]);
  },
);

test("one message a node carries a flush; nodes that follow nothing get none", { skip: withoutRedis }, async (t) => {
  const { connect, admin, prefix } = await setUp(t);
  const [worker, node] = [await connect("w"), await connect("n")];
  const messages: string[] = [];
  admin.on("message", (channel: string) => messages.push(channel));
  await admin.subscribe(channelOf(prefix, "n"), channelOf(prefix, "w"));
  const generations = await Promise.all(Array.from({ length: 10 }, () => running(worker.log, 0)));
  const readers = generations.map(({ id }) => collect(node.follow(id, 0, open())));
  await until(async () =>
    (await worker.flush(generations.map((one) => ({ ...one, entries: [] })))).every(({ nodes }) => nodes.length === 1),
  );
  assert.deepEqual(messages, []);
  await worker.flush(generations.map((one) => ({ ...one, entries: tokens(1, 3) })));
  await worker.flush(generations.map((one) => ({ ...one, entries: [end(4)] })));
  await Promise.all(readers);
  await until(() => messages.length === 2);
  assert.deepEqual(messages, [channelOf(prefix, "n"), channelOf(prefix, "n")]);
});

test("who creates a log hears of all of it without a reading", { skip: withoutRedis }, async (t) => {
  const { connect, admin } = await setUp(t);
  const [worker, node] = [await connect("w"), await connect("n")];
  const hear = async () => {
    const record = recordOf();
    const expected = node.followNew(record.id);
    await node.create(record);
    const { writer } = await claimed(worker.log, record.id);
    await admin.config("RESETSTAT");
    const appended = await worker.flush([{ id: record.id, writer, entries: tokens(1, 2) }]);
    assert.deepEqual(appended[0]?.nodes, ["n"]);
    await worker.flush([{ id: record.id, writer, entries: [end(3)] }]);
    assert.deepEqual(await collect(expected.entries(open())), [...tokens(1, 2), end(3)]);
  };
  // A node that has just subscribed looks once at all that it watches; after a first push it has done so.
  await hear();
  await hear();
  assert.doesNotMatch(await admin.info("commandstats"), /cmdstat_xrange/u);
});

test("who expects a log hears of it although Redis broke off meanwhile", { skip: withoutRedis }, async (t) => {
  const { connect, server } = await setUp(t, true);
  const [worker, node] = [await connect("w"), await connect("n")];
  const record = recordOf();
  const expected = node.followNew(record.id);
  await node.create(record);
  const { writer } = await claimed(worker.log, record.id);
  await server.kill();
  await until(() => !node.commands.isUp && !worker.commands.isUp);
  await server.restart();
  await until(() => worker.commands.isUp);
  await insist(worker, [{ id: record.id, writer, entries: [...tokens(1, 2), end(3)] }]);
  assert.deepEqual(await collect(expected.entries(open())), [...tokens(1, 2), end(3)]);
});

test("a connection that is new brings the script that creates", { skip: withoutRedis }, async (t) => {
  const { connect, admin, server } = await setUp(t);
  const isLoaded = async () => ((await admin.script("EXISTS", createScript.sha)) as number[])[0] === 1;
  const node = await connect("n");
  await until(isLoaded);
  await server.kill();
  await until(() => !node.commands.isUp);
  await server.restart();
  await until(isLoaded);
});

test("a primary that became a replica is left for a new connection", { skip: withoutRedis }, async (t) => {
  const { connect, admin } = await setUp(t);
  const node = await connect("n");
  const changes: boolean[] = [];
  node.commands.onChange((isUp) => changes.push(isUp));
  await admin.replicaof("127.0.0.1", await freePort());
  await admin.config("SET", "replica-serve-stale-data", "yes");
  await fails(node.create(recordOf()), "unavailable");
  await until(() => changes.length >= 2);
  assert.deepEqual(changes.slice(0, 2), [false, true]);
  await admin.replicaof("NO", "ONE");
  await until(async () =>
    node.create(recordOf()).then(
      () => true,
      () => false,
    ),
  );
});

test("entries too large to push are read from the log", { skip: withoutRedis }, async (t) => {
  const { connect } = await setUp(t);
  const [worker, node] = [await connect("w"), await connect("n")];
  const one = await running(worker.log, 0);
  const reader = collect(node.follow(one.id, 0, open()));
  await until(async () => (await worker.flush([{ ...one, entries: [] }]))[0]?.nodes.length === 1);
  const attention = Array.from({ length: 20_000 }, (_, i) => i / 3);
  const large: LogEntry = {
    seq: 1,
    event: { type: "token", seq: 1, index: 0, id: 1, text: "x", special: false, attention },
  };
  await worker.flush([{ ...one, entries: [large] }]);
  await worker.flush([{ ...one, entries: [end(2)] }]);
  assert.deepEqual(await reader, [large, end(2)]);
});

test("a generation cancelled while queued wakes its followers", { skip: withoutRedis }, async (t) => {
  const { connect, prefix } = await setUp(t);
  const [other, node] = [await connect("o"), await connect("n")];
  const record = recordOf();
  await other.log.create(record);
  const reader = collect(node.follow(record.id, 0, open()));
  await until(async () => (await node.commands.client.hget(metaOf(prefix, record.id), "nodes")) !== "");
  assert.equal((await other.log.cancel(record.id)).result, "cancelled");
  assert.equal((await reader).at(-1)?.event.type, "failure");
});

function metaOf(prefix: string, id: string): string {
  return `${prefix}:gen:{${id}}:meta`;
}

test("more nodes than are pushed to: the others read now and then", { skip: withoutRedis }, async (t) => {
  const { connect } = await setUp(t);
  const worker = await connect("w");
  const one = await running(worker.log, 0);
  const nodes = await Promise.all(Array.from({ length: 10 }, (_, i) => connect(`n${i}`, { pollMs: 50 })));
  const readers = nodes.map((node) => collect(node.follow(one.id, 0, open())));
  await until(async () => (await worker.flush([{ ...one, entries: [] }]))[0]?.nodes.length === 8);
  await worker.flush([{ ...one, entries: [...tokens(1, 3), end(4)] }]);
  for (const seen of await Promise.all(readers)) assert.equal(seen.length, 4);
});

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
  "without Redis every method fails at once with a time to come back; with it, all works again",
  { skip: withoutRedis },
  async (t) => {
    const { connect, server } = await setUp(t);
    const { log, commands, flush } = await bound(connect("n"));
    const record = recordOf();
    await server.kill();
    await until(() => !commands.isUp);
    const calls: (() => Promise<unknown>)[] = [
      () => log.create(record),
      () => log.find(record.id),
      () => log.claim(record.id, 1, "w"),
      () => log.append(record.id, "x", [token(1)]),
      () => flush([{ id: record.id, writer: "x", entries: [token(1)] }]),
      () => log.read(record.id, 0),
      () => log.cancel(record.id),
      () => log.list("me", { before: null, limit: 3 }),
      () => log.bindKey("me", "k", { id: record.id, bodyHash: "1" }),
      () => log.unbindKey("me", "k"),
    ];
    for (const call of calls) {
      await assert.rejects(
        call(),
        (error) => error instanceof AppError && error.kind === "unavailable" && error.retryAfterSeconds === 1,
      );
    }
    await server.restart();
    await until(() => commands.isUp);
    await log.create(record);
    assert.equal(typeof (await claimed(log, record.id)), "object");
  },
);

async function bound(connecting: Promise<SharedLog>) {
  const shared = await connecting;
  return { log: shared.log, commands: shared.commands, flush: shared.flush.bind(shared) };
}

test(
  "calls in flight when the connection breaks fail as unavailable, and may be repeated",
  { skip: withoutRedis },
  async (t) => {
    const { connect, admin, server } = await setUp(t);
    const { log, commands } = await connect("w");
    const one = await running(log, 0);
    server.signal("SIGSTOP");
    const calls = Array.from({ length: 20 }, () => log.append(one.id, one.writer, [token(1)]));
    const failing = Promise.all(calls.map((call) => fails(call, "unavailable")));
    commands.client.disconnect(true);
    await failing;
    server.signal("SIGCONT");
    await until(() => commands.isUp);
    assert.equal((await log.append(one.id, one.writer, [token(1)])).result, "ok");
    assert.equal(await admin.xlen(keyNamed(one.id, await admin.keys("*"))), 1);
  },
);

function keyNamed(id: string, keys: readonly string[]): string {
  return keys.find((key) => key.includes(id) && key.endsWith(":log")) ?? "";
}

test("a process that starts before Redis finds it by itself", { skip: withoutRedis }, async (t) => {
  const server = RedisServer.at(await freePort());
  const errors: Error[] = [];
  const shared = new SharedLog({
    url: server.url,
    prefix: "early",
    ttlMs: 60_000,
    nodeId: "n",
    onError: (error) => errors.push(error),
  });
  t.after(async () => {
    await shared.close();
    await server.stop();
  });
  const changes: boolean[] = [];
  shared.commands.onChange((isUp) => changes.push(isUp));
  await fails(shared.log.find("0".repeat(32)), "unavailable");
  await until(() => errors.length >= 2);
  await server.restart();
  await until(() => shared.commands.isUp);
  assert.equal(await shared.log.find("0".repeat(32)), "gone");
  await server.kill();
  await until(() => changes.length === 2);
  assert.deepEqual(changes, [true, false]);
});

test(
  "closing does not hang: while connected, while Redis is away, while it is stuck, twice",
  { skip: withoutRedis },
  async (t) => {
    const { server } = await setUp(t);
    const connected = async () => {
      const connections = (["commands", "subscriber", "worker"] as const).map((role) =>
        connectRedis(server.url, { role }),
      );
      await until(() => connections.every(({ isUp }) => isUp));
      return connections;
    };
    for (const connection of await connected()) await connection.close().then(() => connection.close());
    const stuck = await connected();
    server.signal("SIGSTOP");
    await Promise.all(stuck.map((connection) => connection.close()));
    server.signal("SIGCONT");
    const cut = await connected();
    await server.kill();
    await until(() => cut.every(({ isUp }) => !isUp));
    await Promise.all(cut.map((connection) => connection.close()));
  },
);

test(
  "scripts that Redis has forgotten are brought again, in single calls and in flushes",
  { skip: withoutRedis },
  async (t) => {
    const { connect, admin } = await setUp(t);
    const worker = await connect("w");
    const generations = await Promise.all(Array.from({ length: 3 }, () => running(worker.log, 0)));
    for (let seq = 1; seq <= 3; seq += 1) {
      await admin.script("FLUSH");
      const answers = await worker.flush(generations.map((one) => ({ ...one, entries: [token(seq)] })));
      assert.deepEqual(
        answers.map(({ result, lastSeq }) => [result, lastSeq]),
        [
          ["ok", seq],
          ["ok", seq],
          ["ok", seq],
        ],
      );
      await admin.script("FLUSH");
      assert.equal((await worker.log.read(generations[0]?.id ?? "", 0)).lastSeq, seq);
    }
  },
);

test("in a flush each generation has its own answer", { skip: withoutRedis }, async (t) => {
  const { connect } = await setUp(t);
  const worker = await connect("w");
  const [fine, ended, gap, taken] = await Promise.all([0, 0, 0, 0].map(() => running(worker.log, 1)));
  assert.ok(fine !== undefined && ended !== undefined && gap !== undefined && taken !== undefined);
  await worker.log.append(ended.id, ended.writer, [end(2)]);
  await claimed(worker.log, taken.id, 2);
  const unknown = { id: "e".repeat(32), writer: "x" };
  const requests = [fine, ended, gap, taken, unknown].map((one) => ({
    ...one,
    entries: tokens(one === gap ? 3 : 2, 3),
  }));
  requests[1] = { ...ended, entries: [token(3)] };
  const answers = await worker.flush(requests);
  assert.deepEqual(
    answers.map(({ result, lastSeq }) => [result, lastSeq]),
    [
      ["ok", 3],
      ["ended", 2],
      ["gap", 1],
      ["fenced", 1],
      ["gone", 0],
    ],
  );
  assert.deepEqual(await worker.flush([]), []);
});

test("a full Redis is unavailable, not a fault", { skip: withoutRedis }, async (t) => {
  const { connect, admin } = await setUp(t);
  const { log } = await connect("w");
  await admin.config("SET", "maxmemory-policy", "noeviction");
  await admin.config("SET", "maxmemory", "1");
  await fails(log.create(recordOf()), "unavailable");
  await admin.config("SET", "maxmemory", "0");
  await log.create(recordOf());
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

test("a Redis that owes answers is away, and back when it gives them", { skip: withoutRedis }, async (t) => {
  const { server } = await setUp(t);
  const silent = (["commands", "subscriber"] as const).map((role) =>
    connectRedis(server.url, { role, silenceMs: 300 }),
  );
  await until(() => silent.every(({ isUp }) => isUp));
  server.signal("SIGSTOP");
  await until(() => silent.every(({ isUp }) => !isUp));
  server.signal("SIGCONT");
  await until(() => silent.every(({ isUp }) => isUp));
  await Promise.all(silent.map((connection) => connection.close()));
});

test(
  "what no worker of this version would say makes followers look, and breaks nothing",
  { skip: withoutRedis },
  async (t) => {
    const { connect, admin, prefix } = await setUp(t);
    const [worker, node] = [await connect("w"), await connect("n")];
    const one = await running(worker.log, 0);
    const following = node.follow(one.id, 0, open());
    for (const [i, message] of ["", "{", "null", '[["x"]]', "[1]"].entries()) {
      const next = following.next();
      await until(async () => (await worker.flush([{ ...one, entries: [] }]))[0]?.nodes.length === 1);
      // Not by flush: nothing is pushed.
      await worker.log.append(one.id, one.writer, [token(i + 1)]);
      await admin.publish(channelOf(prefix, "n"), message);
      assert.equal((await next).value?.seq, i + 1);
    }
  },
);

test("what a fenced writer flushes reaches nobody", { skip: withoutRedis }, async (t) => {
  const { connect, admin, prefix } = await setUp(t);
  const [worker, node] = [await connect("w"), await connect("n")];
  const one = await running(worker.log, 1);
  const reader = collect(node.follow(one.id, 0, open()));
  await until(async () => (await worker.flush([{ ...one, entries: [] }]))[0]?.nodes.length === 1);
  const { writer } = await claimed(worker.log, one.id, 2);
  const messages: string[] = [];
  admin.on("message", (_channel: string, message: string) => messages.push(message));
  await admin.subscribe(channelOf(prefix, "n"));
  const refused = await worker.flush([{ ...one, entries: [token(2, 222), end(3)] }]);
  assert.deepEqual(
    refused.map(({ result, nodes }) => [result, nodes]),
    [["fenced", ["n"]]],
  );
  await worker.flush([{ id: one.id, writer, entries: [token(2), token(3), end(4)] }]);
  assert.deepEqual(await reader, [...tokens(1, 3), end(4)]);
  await until(() => messages.length > 0);
  assert.deepEqual(
    messages.map((message) => parsePushes(message)?.pushes),
    [[{ id: one.id, entries: [token(2), token(3), end(4)] }]],
  );
});

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

test("a message holds entries in full while they are small, else only where they begin; by node", () => {
  const large: LogEntry = { seq: 7, event: { type: "failure", kind: "internal", message: "x".repeat(70_000) } };
  const messages = messagesOf(
    [
      { id: "a", entries: tokens(3, 4), nodes: ["n", "m"] },
      { id: "b", entries: [large], nodes: ["n"] },
      { id: "c", entries: [end(1)], nodes: [] },
    ],
    42,
  );
  const parsed = [...messages].map(([node, message]) => [node, parsePushes(message)?.pushes]);
  assert.equal(parsePushes([...messages.values()][0]!)?.atMs, 42);
  assert.deepEqual(parsed, [
    [
      "n",
      [
        { id: "a", entries: tokens(3, 4) },
        { id: "b", entries: [] },
      ],
    ],
    ["m", [{ id: "a", entries: tokens(3, 4) }]],
  ]);
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
