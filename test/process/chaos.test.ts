// A short run of what `npm run suite -- chaos` does at length.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { scaled } from "../support/random.js";
import { withoutRedis } from "../support/servers/redis.js";
import { killWorkers } from "../suites/chaos/kill.js";
import { pauseWorkers } from "../suites/chaos/pause.js";
import { disturbRedis } from "../suites/chaos/redis.js";
import { rollingRestart } from "../suites/chaos/rolling.js";

describe("a disturbed cluster", { skip: withoutRedis, concurrency: false }, () => {
  test("workers killed at random tokens: every text is whole", async () => {
    const wanted = scaled(6, 3);
    const { kills, tookOver } = await killWorkers(wanted);
    assert.ok(kills >= wanted);
    assert.ok(tookOver > 0, "no kill met a running generation");
  });

  test("workers that stand still until others took over: what they still write is fenced", async () => {
    const { generations } = await pauseWorkers(2);
    assert.ok(generations > 0);
  });

  test("Redis killed and started again, connections cut: streams finish or end as documented", async () => {
    const { generations, finished, endedWithError } = await disturbRedis(1, scaled(6, 2));
    assert.ok(finished > 0);
    assert.equal(finished + Object.values(endedWithError).reduce((sum, count) => sum + count, 0), generations);
  });

  test("all nodes restarted in turn, handing over at once: nobody who resumes loses anything", async () => {
    const { generations, handedOver } = await rollingRestart(1, 0);
    assert.ok(generations > 0);
    assert.ok(handedOver > 0, "no restart met a running generation");
  });
});
