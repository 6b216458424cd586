// Redis itself disturbed under load: killed and started again on its AOF, and its clients' connections cut. Streams finish, or end with a documented error
// that a client may answer with a new generation; nothing hangs, and no process needs a restart.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { startCluster, type Cluster } from "./cluster.js";
import { keepBusy } from "./load.js";
import { expectedOf, judge, requests, type Expected } from "./oracle.js";
import { generation, type Seen } from "./resuming-client.js";

export interface RedisResult {
  readonly restarts: number;
  readonly cuts: number;
  readonly generations: number;
  /** By error_type: log_lost where Redis forgot its last second. */
  readonly endedWithError: Readonly<Record<string, number>>;
  /** Whole, and exactly the undisturbed text. */
  readonly finished: number;
}

const documented = new Set(["log_lost", "unavailable"]);

export async function disturbRedis(restarts: number, cuts: number, clients = 12): Promise<RedisResult> {
  const expected = await expectedOf(requests(36));
  const cluster = await startCluster({ apis: 2, workers: 2 });
  const tally = new Tally();
  let isOver = false;
  try {
    const urls = cluster.apis.map(({ url }) => url);
    const onSeen = (seen: Seen, one: Expected) => tally.count(seen, one);
    const load = keepBusy({ urls, expected, clients, isOver: () => isOver, onSeen });
    const disturbing = disturb(cluster, restarts, cuts).finally(() => (isOver = true));
    const [seen] = await Promise.all([load, disturbing]);
    for (const one of expected) judge(await generation(urls, one.body), one);
    return { restarts, cuts, generations: seen.length, endedWithError: tally.errors, finished: tally.finished };
  } finally {
    await cluster.stop();
  }
}

async function disturb(cluster: Cluster, restarts: number, cuts: number): Promise<void> {
  for (let i = 0; i < cuts; i += 1) {
    await sleep(300 + Math.random() * 300);
    const type = i % 2 === 0 ? "normal" : "pubsub";
    execFileSync("redis-cli", ["-p", String(cluster.redis.port), "client", "kill", "type", type, "skipme", "yes"]);
  }
  for (let i = 0; i < restarts; i += 1) {
    await sleep(1500 + Math.random() * 500);
    await cluster.redis.kill();
    await sleep(Math.random() * 1000);
    await cluster.redis.restart();
  }
  await sleep(3000);
}

class Tally {
  readonly errors: Record<string, number> = {};
  finished = 0;

  /** A stream that finished is judged as ever; one that ended with an error must end with a documented one. */
  count(seen: Seen, expected: Expected): void {
    const last = seen.events.at(-1);
    if (last?.event !== "error") {
      judge(seen, expected);
      this.finished += 1;
      return;
    }
    const type = String(last.data["error_type"]);
    assert.ok(documented.has(type), `${seen.id} ended with ${JSON.stringify(last.data)}`);
    this.errors[type] = (this.errors[type] ?? 0) + 1;
  }
}
