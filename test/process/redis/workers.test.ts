// Workers over a real Redis: which jobs they take and leave, how they hand over, stop, are fenced, stall and are replaced.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { AppError } from "../../../src/errors.js";
import { recordOf } from "../../support/contracts/generations.js";
import { patienceMs, queue, Reader, Steps, workersOverRedis } from "../../support/servers/redis-workers.js";
import { withoutRedis } from "../../support/servers/redis.js";
import { until } from "../../support/until.js";

describe("workers over Redis", { skip: withoutRedis }, () => {
  const { api, worker, prepared, log, whole, metric, client, prefix } = workersOverRedis();

  test("a worker that loses its lock stops, and the next one goes on behind the last token", async () => {
    const steps = new Steps();
    steps.holdAt = 4;
    const workers = [worker(steps, "a"), worker(steps, "b")];
    const node = await api();
    const reader = new Reader(node, prepared());
    await until(() => reader.ids.length === 3, "three tokens");
    assert.ok((await metric(node, "stream_lag_seconds_count")) > 0);
    const [lock = ""] = await client().keys(`${prefix()}:${queue}:*:lock`);
    assert.equal(await client().del(lock), 1);
    await until(() => steps.runs[0]?.signal.aborted === true, "the first run is stopped");
    steps.holdAt = Infinity;
    assert.equal(await reader.done, null);
    assert.deepEqual(reader.ids, whole(steps));
    assert.equal(reader.ends, 1);
    assert.deepEqual(
      steps.runs.map(({ logged }) => logged),
      [0, 3],
    );
    const sum = async (name: string) => (await metric(workers[0]!, name)) + (await metric(workers[1]!, name));
    assert.equal(await sum("job_redeliveries_total"), 1);
    assert.equal(await sum("lock_renew_failures_total"), 1);
  });

  test("a draining worker hands its generation over; nobody notices", async () => {
    const steps = new Steps();
    steps.holdAt = 3;
    const first = worker(steps, "a");
    const reader = new Reader(await api(), prepared());
    await until(() => reader.ids.length === 2, "two tokens");
    const second = worker(steps, "b");
    await until(async () => (await client().smembers(`${prefix()}:workers`)).length === 2, "the second takes jobs");
    await first.node.drain(0);
    assert.equal(await metric(first, "handoffs_total"), 1);
    await until(() => steps.runs.length === 2, "the second has it");
    steps.holdAt = Infinity;
    assert.equal(await reader.done, null);
    assert.deepEqual(reader.ids, whole(steps));
    assert.deepEqual(
      steps.runs.map(({ worker: name, logged }) => [name, logged]),
      [
        ["a", 0],
        ["b", 2],
      ],
    );
    assert.equal(await metric(second, "job_redeliveries_total"), 0, "handing over is not losing");
    assert.ok((await metric(second, "log_append_seconds_count")) > 0);
  });

  test("a draining worker lets what can end in time end, and takes nothing new", async () => {
    const steps = new Steps();
    steps.holdAt = 3;
    const first = worker(steps, "a");
    const node = await api();
    const reader = new Reader(node, prepared());
    await until(() => reader.ids.length === 2, "two tokens");
    const drained = first.node.drain(patienceMs);
    // A job that comes while the drain begins may still be fetched, and is given back: this one comes after that.
    await sleep(200);
    const late = new Reader(node, prepared());
    await sleep(100);
    steps.holdAt = Infinity;
    await drained;
    assert.equal(await reader.done, null);
    assert.equal(steps.runs.length, 1);
    assert.equal(await metric(first, "handoffs_total"), 0);
    worker(steps, "b");
    assert.equal(await late.done, null);
    assert.deepEqual(late.ids, whole(steps));
  });

  test("a reader who leaves stops the run; the log ends with one failure", async () => {
    const steps = new Steps();
    steps.holdAt = 4;
    worker(steps, "a");
    const node = await api();
    const request = prepared();
    const reader = new Reader(node, request);
    await until(() => reader.ids.length === 3, "three tokens");
    reader.abort.abort(new AppError("cancelled", "the client left"));
    await until(() => steps.runs[0]?.signal.aborted === true, "the run is stopped");
    await until(async () => {
      const found = await log().find(request.id);
      return typeof found === "object" && found.state === "ended";
    }, "the log has its end");
    const { entries } = await log().read(request.id, 0);
    assert.deepEqual(
      entries.map(({ event }) => (event.type === "failure" ? event.kind : event.type)),
      ["token", "token", "token", "cancelled"],
    );
  });

  test("a cancel message that is lost is made up for by the next append", async () => {
    const steps = new Steps(1000);
    steps.holdAt = 4;
    worker(steps, "a");
    const node = await api();
    const record = recordOf();
    await node.node.generations.start(record);
    await until(() => steps.runs.length === 1, "it runs");
    await log().cancel(record.id);
    steps.holdAt = Infinity;
    await until(() => steps.runs[0]?.signal.aborted === true, "the run is stopped");
    await until(async () => {
      const found = await log().find(record.id);
      return typeof found === "object" && found.terminal?.type === "failure" && found.terminal.kind === "cancelled";
    }, "it has ended");
  });

  test("a fenced writer stops silently and is counted", async () => {
    const steps = new Steps(1000);
    steps.holdAt = 4;
    const first = worker(steps, "a");
    const node = await api();
    const record = recordOf();
    await node.node.generations.start(record);
    await until(async () => (await log().read(record.id, 0)).lastSeq === 3, "three tokens");
    const thief = await log().claim(record.id, 99, "thief", "v1");
    assert.ok(typeof thief === "object");
    steps.holdAt = Infinity;
    await until(() => steps.runs[0]?.signal.aborted === true, "the run is stopped");
    assert.equal((await log().read(record.id, 0)).lastSeq, 3);
    assert.equal(await metric(first, "fenced_appends_total"), 1);
  });

  test("a worker with other files never sees the job", async () => {
    const steps = new Steps();
    worker(steps, "other", { digest: "e".repeat(64) });
    const reader = new Reader(await api(), prepared());
    await until(async () => (await client().smembers(`${prefix()}:workers`)).length === 1, "the other one is there");
    await sleep(300);
    assert.equal(steps.runs.length, 0);
    worker(steps, "same");
    assert.equal(await reader.done, null);
    assert.deepEqual(
      steps.runs.map(({ worker: name }) => name),
      ["same"],
    );
  });

  test("a log begun by one variant is left to workers of that variant", async () => {
    const steps = new Steps();
    steps.holdAt = 3;
    const first = worker(steps, "fp32", { variant: "fp32" });
    const reader = new Reader(await api(), prepared());
    await until(() => reader.ids.length === 2, "two tokens");
    worker(steps, "int8", { variant: "int8" });
    await until(async () => (await client().smembers(`${prefix()}:workers`)).length === 2, "both are there");
    await first.node.drain(0);
    await until(async () => (await client().zcard(`${prefix()}:${queue}:delayed`)) === 1, "the other has left it");
    steps.holdAt = Infinity;
    worker(steps, "fp32 again", { variant: "fp32" });
    assert.equal(await reader.done, null);
    assert.deepEqual(reader.ids, whole(steps));
    assert.deepEqual(
      steps.runs.map(({ worker: name }) => name),
      ["fp32", "fp32 again"],
    );
  });

  test("a worker that has stalled is replaced", async () => {
    const steps = new Steps();
    const stalled = worker(steps, "a", { stallTimeoutMs: 600 });
    await until(() => stalled.node.bulls.length === 1, "it takes jobs");
    const { bull } = stalled.node.bulls[0]!;
    // What a blocking connection in a bad state does: no answer, no error.
    bull.getBackend().waitForJob = () => new Promise(() => undefined);
    bull.getBackend().moveToActive = () => new Promise(() => undefined);
    await sleep(2500);
    const reader = new Reader(await api(), prepared());
    assert.equal(await reader.done, null);
    assert.deepEqual(reader.ids, whole(steps));
    assert.equal(await metric(stalled, "worker_watchdog_restarts_total"), 1);
  });

  test("a job of a newer schema is left to newer workers", async () => {
    const steps = new Steps();
    const only = worker(steps, "a");
    await until(() => only.node.bulls.length === 1, "it takes jobs");
    const { Queue } = await import("bullmq");
    const jobs = new Queue(queue, { connection: client(), prefix: prefix() });
    await jobs.add("generate", { schema: 2, id: "x" }, { jobId: "future", priority: 1 });
    await until(async () => (await client().zcard(`${prefix()}:${queue}:delayed`)) === 1, "it is left");
    assert.equal(steps.runs.length, 0);
  });
});
