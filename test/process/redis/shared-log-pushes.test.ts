// Shared logs on a real Redis: what is appended is pushed to the nodes that follow, to all of them and to nobody else.
import assert from "node:assert/strict";
import { test } from "node:test";
import { channelOf, parsePushes } from "../../../src/queue/redis/pushes.js";
import { type LogEntry } from "../../../src/queue/log/token-log.js";
import { end, recordOf, token, tokens } from "../../support/contracts/generations.js";
import { withoutRedis } from "../../support/servers/redis.js";
import { claimed, running } from "../../support/contracts/token-log-contract.js";
import { until } from "../../support/until.js";
import { collect, insist, open, setUp } from "../../support/servers/shared-logs.js";

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
