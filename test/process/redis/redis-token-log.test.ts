// The token log in Redis keeps the contract, against a real server.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before, test } from "node:test";
import type { Redis } from "ioredis";
import { AppError } from "../../../src/errors.js";
import { follow } from "../../../src/queue/log/follow.js";
import { connectRedis } from "../../../src/queue/redis/redis.js";
import { RedisTokenLog } from "../../../src/queue/redis/redis-token-log.js";
import type { GenerationRecord } from "../../../src/queue/log/token-log.js";
import { Watchers } from "../../../src/queue/log/watchers.js";
import { end, recordOf, token, tokens } from "../../support/contracts/generations.js";
import { RedisServer, withoutRedis } from "../../support/servers/redis.js";
import {
  claimed,
  running,
  testTokenLogContract,
  type ContractOptions,
} from "../../support/contracts/token-log-contract.js";
import { scaled } from "../../support/random.js";
import { testTokenLogModel } from "../../support/contracts/token-log-model.js";

let server: RedisServer;
before(async () => {
  if (withoutRedis === false) server = await RedisServer.start();
});
after(() => server?.stop());

const options: ContractOptions = {
  skip: withoutRedis,
  async build({ ttlMs }) {
    const connection = connectRedis(server.url, { role: "commands" });
    await new Promise<void>((resolve) => connection.onChange((isUp) => isUp && resolve()));
    const { client } = connection;
    const prefix = randomUUID();
    const log = new RedisTokenLog({ client, prefix, ttlMs });
    return { log, pass: (ms) => age(client, prefix, ms), dispose: () => connection.close() };
  },
};

testTokenLogContract("RedisTokenLog", options);
testTokenLogModel("RedisTokenLog", options, scaled(60));

/** Every key gets older by `ms`: no test waits, and none is late. */
async function age(client: Redis, prefix: string, ms: number): Promise<void> {
  for (const key of await client.keys(`${prefix}:*`)) {
    const left = await client.pttl(key);
    assert.ok(left > 0, `${key} never expires`);
    if (left <= ms) await client.del(key);
    else await client.pexpire(key, left - ms);
  }
}

/** A log on a prefix of its own, and its keys. */
async function withLog(
  times: { ttlMs: number; openTtlMs?: number },
  body: (log: RedisTokenLog, client: Redis, prefix: string) => Promise<void>,
): Promise<void> {
  const connection = connectRedis(server.url, { role: "commands" });
  await new Promise<void>((resolve) => connection.onChange((isUp) => isUp && resolve()));
  const prefix = randomUUID();
  const log = new RedisTokenLog({ client: connection.client, prefix, ...times });
  await body(log, connection.client, prefix).finally(() => connection.close());
}

test("every key has its end, whatever was done; nothing is left in the end", { skip: withoutRedis }, async () => {
  await withLog({ ttlMs: 20_000 }, async (log, client, prefix) => {
    for (let i = 0; i < 5; i += 1) {
      const { id, writer } = await running(log, i, recordOf({ owner: `o${i % 2}` }));
      if (i > 2) await log.append(id, writer, [end(i + 1)]);
      await log.bindKey("me", `${i}`, { id, bodyHash: "" });
      await log.cancel((await created(log)).id);
    }
    assert.ok((await client.keys(`${prefix}:*`)).length > 20);
    await age(client, prefix, 1000);
    await age(client, prefix, 24 * 3_600_000);
    assert.deepEqual(await client.keys(`${prefix}:*`), []);
  });
});

test("the text of a request is kept in one key, which goes with the log", { skip: withoutRedis }, async () => {
  await withLog({ ttlMs: 20_000 }, async (log, client, prefix) => {
    const secret = "a text that is nobody's business";
    const { id, writer } = await running(log, 2, recordOf({ request: { text: secret, parameters: {} } }));
    await log.append(id, writer, [end(3)]);
    const holding: string[] = [];
    for (const key of await client.keys(`${prefix}:*`)) {
      if (JSON.stringify(await contents(client, key)).includes(secret)) holding.push(key);
    }
    assert.deepEqual(holding, [`${prefix}:gen:{${id}}:record`]);
    await age(client, prefix, 21_500);
    assert.deepEqual(await client.keys(`${prefix}:gen:*`), [`${prefix}:gen:{${id}}:meta`]);
  });
});

async function contents(client: Redis, key: string): Promise<unknown> {
  const readers: Record<string, () => Promise<unknown>> = {
    string: () => client.get(key),
    hash: () => client.hgetall(key),
    zset: () => client.zrange(key, 0, "-1"),
    stream: () => client.xrange(key, "-", "+"),
  };
  const read = readers[await client.type(key)];
  assert.ok(read !== undefined, key);
  return read();
}

test("an open generation is kept by its appends, and expires without any", { skip: withoutRedis }, async () => {
  await withLog({ ttlMs: 20_000, openTtlMs: 60_000 }, async (log, client, prefix) => {
    const { id, writer } = await running(log, 1);
    for (let seq = 2; seq <= 6; seq += 1) {
      await age(client, prefix, 50_000);
      const entries = seq % 2 === 0 ? [token(seq / 2 + 1)] : [];
      assert.equal((await log.append(id, writer, entries)).result, "ok");
    }
    assert.equal((await log.read(id, 0)).entries.length, 4);
    await age(client, prefix, 60_000);
    assert.equal(await log.find(id), "expired");
  });
});

test("entries are stream entries by their number, one field each", { skip: withoutRedis }, async () => {
  await withLog({ ttlMs: 20_000 }, async (log, client, prefix) => {
    const { id } = await running(log, 2);
    const raw = await client.xrange(`${prefix}:gen:{${id}}:log`, "-", "+");
    assert.deepEqual(
      raw.map(([entry, fields]) => [entry, fields.length]),
      [
        ["0-1", 2],
        ["0-2", 2],
      ],
    );
  });
});

test("an owner's list stays short although nobody reads it", { skip: withoutRedis }, async () => {
  await withLog({ ttlMs: 10_000 }, async (log, client, prefix) => {
    for (let i = 0; i < 60; i += 1) {
      const { id, writer } = await running(log, 0, recordOf({ owner: "me", createdAt: 1_000_000 + i * 5000 }));
      await log.append(id, writer, [end(1)]);
      await age(client, `${prefix}:gen`, 5000);
    }
    const listed = await client.zcard(`${prefix}:owner:me`);
    assert.ok(listed >= 2 && listed < 8, `${listed} are listed`);
  });
});

test(
  "an evicted log is expired to those who look it up, and lost to those who follow",
  { skip: withoutRedis },
  async () => {
    await withLog({ ttlMs: 20_000 }, async (log, client, prefix) => {
      const { id, writer } = await running(log, 2);
      await log.append(id, writer, [end(3)]);
      await client.del(`${prefix}:gen:{${id}}:log`);
      assert.equal(await log.find(id), "expired");
      const following = follow(log, new Watchers().watch, id, 0, new AbortController().signal);
      await assert.rejects(following.next(), (error) => error instanceof AppError && error.kind === "log_lost");
    });
  },
);

test(
  "a Redis that lost the last claim goes by the one before: one writer, never two",
  { skip: withoutRedis },
  async () => {
    await withLog({ ttlMs: 20_000 }, async (log, client, prefix) => {
      const { id, writer: first } = await running(log, 2);
      const meta = `${prefix}:gen:{${id}}:meta`;
      const kept = await client.hgetall(meta);
      const { writer: second } = await claimed(log, id, 2);
      await client.hset(meta, kept);
      assert.equal((await log.append(id, second, [token(3, 333)])).result, "fenced");
      assert.equal((await log.append(id, first, [token(3)])).result, "ok");
      const third = await claimed(log, id, 2);
      assert.equal((await log.append(id, first, [token(4, 444)])).result, "fenced");
      assert.equal((await log.append(id, third.writer, [end(4)])).result, "ok");
      assert.deepEqual((await log.read(id, 0)).entries, [...tokens(1, 3), end(4)]);
    });
  },
);

test("a Redis that lost the last entries asks for them by a gap", { skip: withoutRedis }, async () => {
  await withLog({ ttlMs: 20_000 }, async (log, client, prefix) => {
    const { id, writer } = await running(log, 5);
    const stem = `${prefix}:gen:{${id}}`;
    const left = await client.xrange(`${stem}:log`, "-", "0-3");
    await client.del(`${stem}:log`);
    for (const [entry, fields] of left) await client.xadd(`${stem}:log`, entry, ...fields);
    await client.hset(`${stem}:meta`, "top", 3);
    const { result, lastSeq } = await log.append(id, writer, [token(6)]);
    assert.deepEqual([result, lastSeq], ["gap", 3]);
    assert.equal((await log.append(id, writer, tokens(4, 6))).result, "ok");
    assert.deepEqual((await log.read(id, 0)).entries, tokens(1, 6));
  });
});

async function created(log: RedisTokenLog): Promise<GenerationRecord> {
  const record = recordOf();
  await log.create(record);
  return record;
}
