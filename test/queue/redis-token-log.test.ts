// The token log in Redis keeps the contract, against a real server.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, before } from "node:test";
import type { Redis } from "ioredis";
import { connectRedis } from "../../src/queue/redis.js";
import { RedisTokenLog } from "../../src/queue/redis-token-log.js";
import { RedisServer, withoutRedis } from "../support/redis.js";
import { testTokenLogContract } from "../support/token-log-contract.js";

let server: RedisServer;
before(async () => {
  if (withoutRedis === false) server = await RedisServer.start();
});
after(() => server?.stop());

testTokenLogContract("RedisTokenLog", {
  skip: withoutRedis,
  async build({ ttlMs }) {
    const connection = connectRedis(server.url, { role: "commands" });
    await new Promise<void>((resolve) => connection.onChange((isUp) => isUp && resolve()));
    const { client } = connection;
    const prefix = randomUUID();
    const log = new RedisTokenLog({ client, prefix, ttlMs });
    return { log, pass: (ms) => age(client, prefix, ms), dispose: () => connection.close() };
  },
});

/** Every key gets older by so much: no test waits, and none is late. */
async function age(client: Redis, prefix: string, ms: number): Promise<void> {
  for (const key of await client.keys(`${prefix}:*`)) {
    const left = await client.pttl(key);
    assert.ok(left > 0, `${key} never expires`);
    if (left <= ms) await client.del(key);
    else await client.pexpire(key, left - ms);
  }
}
