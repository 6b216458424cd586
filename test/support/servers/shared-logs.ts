// Shared logs of API nodes and workers on a real Redis of the test's own, and what tests of them need.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Redis } from "ioredis";
import { AppError, type ErrorKind } from "../../../src/errors.js";
import type { FollowOptions } from "../../../src/queue/log/follow.js";
import { channelOf } from "../../../src/queue/redis/pushes.js";
import type { AppendRequest } from "../../../src/queue/redis/redis-token-log.js";
import { SharedLog } from "../../../src/queue/redis/shared-log.js";
import { type LogEntry } from "../../../src/queue/log/token-log.js";
import { RedisServer } from "../servers/redis.js";
import { until } from "../until.js";

/** A signal that is never aborted. */
export const open = (): AbortSignal => new AbortController().signal;

const neverPolls: FollowOptions = { pollMs: 1_000_000 };

/** A server of this test's own, and a way to connect API nodes and workers that are closed at its end. */
export async function setUp(t: TestContext, isDurable = false) {
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

export function fails(acting: Promise<unknown>, kind: ErrorKind): Promise<void> {
  return assert.rejects(acting, (error) => error instanceof AppError && error.kind === kind);
}

export async function collect(entries: AsyncIterable<LogEntry>): Promise<LogEntry[]> {
  const all: LogEntry[] = [];
  for await (const entry of entries) all.push(entry);
  return all;
}

/** Flushes as a worker does: the same again until it is in the log. */
export async function insist(worker: SharedLog, requests: readonly AppendRequest[]): Promise<void> {
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
