// Shared logs on a real Redis: how calls fail and connections come back while Redis is away, full, stuck, a replica, or has forgotten its scripts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AppError } from "../../../src/errors.js";
import { connectRedis } from "../../../src/queue/redis/redis.js";
import { SharedLog } from "../../../src/queue/redis/shared-log.js";
import { createScript } from "../../../src/queue/redis/token-log-scripts.js";
import { end, recordOf, token, tokens } from "../../support/contracts/generations.js";
import { freePort, RedisServer, withoutRedis } from "../../support/servers/redis.js";
import { claimed, running } from "../../support/contracts/token-log-contract.js";
import { until } from "../../support/until.js";
import { fails, setUp } from "../../support/servers/shared-logs.js";

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
