// The pure parts beside BullMQ: names, job data, concurrency, stalled workers, care for silent jobs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { queueName, readJobData, rowsOf } from "../../../src/queue/bull/bull-job.js";
import { careFor } from "../../../src/queue/bull/job-keeper.js";
import { AppError } from "../../../src/errors.js";
import { WorkerDirectory, type Announcement, readControl, writeControl } from "../../../src/queue/bull/workers.js";
import { decoding } from "../../support/models/decoding.js";
import { concurrencyFor } from "../../../src/queue/bull/running-jobs.js";
import { Watchdog } from "../../../src/queue/bull/watchdog.js";

test("queues are apart by model and by digest, and BullMQ takes any name", () => {
  const digest = "0123456789abcdef";
  assert.equal(queueName({ model: "g2p-en", digest }), "jobs-g2p-en-0123456789ab");
  const names = ["a", "a:b", "a%3Ab", "a/b", "ä", "a b", "{a}"].map((model) => queueName({ model, digest }));
  assert.equal(new Set(names).size, names.length);
  for (const name of names) assert.doesNotMatch(name, /[:{}\s]/u);
  assert.notEqual(queueName({ model: "a", digest }), queueName({ model: "a", digest: `1${digest}` }));
});

test("a job of another schema, or none, is not read", () => {
  const data = { schema: 1, id: "x", rows: 4, attemptsBefore: 9 };
  assert.deepEqual(readJobData(data), data);
  assert.deepEqual(readJobData({ schema: 1, id: "x" }), { schema: 1, id: "x", rows: 1, attemptsBefore: 0 });
  for (const wrong of [null, 3, {}, { schema: 2, id: "x" }, { schema: 1 }, { schema: 1, id: 5 }]) {
    assert.equal(readJobData(wrong), null);
  }
});

test("a job carries its trace where there is one, and nothing else is taken for one", () => {
  const job = { schema: 1, id: "x", rows: 1, attemptsBefore: 0 } as const;
  const trace = { traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", tracestate: "a=1" };
  assert.deepEqual(readJobData({ ...job, trace }), { ...job, trace });
  for (const odd of [null, 3, "00-1-2-01", {}, { traceparent: 5 }])
    assert.deepEqual(readJobData({ ...job, trace: odd }), job);
});

test("beams and outputs take rows", () => {
  assert.equal(rowsOf(decoding()), 1);
  assert.equal(rowsOf(decoding({ numBeams: 4, numReturnSequences: 2 })), 4);
  assert.equal(rowsOf(decoding({ numReturnSequences: 3 })), 3);
});

test("a worker holds what runs, one job a free row, and a few more", () => {
  assert.equal(concurrencyFor([], 32), 34);
  assert.equal(concurrencyFor([1, 1, 1], 32), 34);
  assert.equal(concurrencyFor([16], 32), 1 + 16 + 2, "16 beams leave 16 rows");
  assert.equal(concurrencyFor([16, 16], 32), 2 + 2);
  assert.equal(concurrencyFor([16, 16, 16], 32), 3, "one waits already: no more");
  assert.equal(concurrencyFor([64], 32), 1 + 2, "more rows than there are count as all there are");
  assert.equal(concurrencyFor([], 1), 2);
  for (let jobs = 0; jobs < 50; jobs += 1) {
    const rows = Array.from({ length: jobs }, (_, i) => 1 + (i % 5));
    assert.ok(concurrencyFor(rows, 8) >= Math.max(1, jobs), "never less than it holds: BullMQ can't take jobs back");
  }
});

test("a worker has stalled when jobs wait, it has room and takes none for long", () => {
  const dog = new Watchdog(30);
  const idle = { depth: 3, hasRoom: true, taken: 5 };
  assert.equal(dog.isStalled(idle, 0), false, "it may have taken some just now");
  assert.equal(dog.isStalled(idle, 10), false);
  assert.equal(dog.isStalled(idle, 39), false);
  assert.equal(dog.isStalled(idle, 40), true);
  assert.equal(dog.isStalled(idle, 41), false, "the new one gets its time");
  assert.equal(dog.isStalled({ ...idle, taken: 6 }, 100), false);
  assert.equal(dog.isStalled({ ...idle, depth: 0, taken: 6 }, 200), false);
  assert.equal(dog.isStalled({ ...idle, hasRoom: false, taken: 6 }, 300), false);
  assert.equal(dog.isStalled({ ...idle, taken: 6 }, 400), false, "counted from when it could have taken one");
  assert.equal(dog.isStalled({ ...idle, taken: 6 }, 430), true);
});

test("what a silent job needs depends on where BullMQ has it", () => {
  assert.equal(careFor("prioritized", false), "wait");
  assert.equal(careFor("active", true), "wait", "its worker keeps the deadline");
  assert.equal(careFor("prioritized", true), "deadline");
  assert.equal(careFor("unknown", true), "deadline");
  assert.equal(careFor("unknown", false), "add");
  assert.equal(careFor("completed", false), "add");
  assert.equal(careFor("failed", true), "fail");
});

test("control messages of newer versions are passed over", () => {
  assert.deepEqual(readControl(writeControl({ type: "cancel", id: "x" })), { type: "cancel", id: "x" });
  for (const text of ["", "{", "null", '{"type":"drain"}', '{"type":"cancel"}']) assert.equal(readControl(text), null);
});

test("facts are learnt once, of workers with the same files, and unlearnt when the last has gone", async () => {
  const digest = "d".repeat(64);
  const told: unknown[] = [];
  let announced: Announcement[] = [];
  let now = 0;
  const announcement = { model: "m", digest, worker: "a", variant: "v", rows: 1, version: "1", facts: { n: 1 } };
  const directory = new WorkerDirectory({
    read: () => Promise.resolve(announced),
    targets: () => Promise.resolve([{ model: "m", digest }]),
    learn: (_model, facts) => void told.push(facts),
    now: () => now,
    workerWaitMs: 100,
  });
  const refresh = async (...next: Announcement[]) => {
    announced = next;
    await directory.refresh();
  };
  await refresh({ ...announcement, digest: "e".repeat(64) });
  assert.deepEqual(told, []);
  await refresh(announcement);
  await refresh(announcement, { ...announcement, worker: "b" });
  assert.deepEqual(told, [{ n: 1 }]);
  assert.equal(directory.workersOf({ model: "m", digest }).length, 2);
  await refresh();
  assert.deepEqual(told, [{ n: 1 }, null]);
  directory.requireWorker({ model: "m", digest });
  now = 100;
  assert.throws(
    () => directory.requireWorker({ model: "m", digest }),
    (error) => error instanceof AppError && error.kind === "unavailable",
  );
});
