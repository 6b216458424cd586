// Admission's arithmetic on a clock that the test turns.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AppError } from "../../../src/errors.js";
import { Admission, ModelAdmission } from "../../../src/queue/admission.js";

function admissionAt(limits = { maxQueuedRequests: 100, maxQueuedTokens: 1000 }) {
  const clock = { ms: 0 };
  const reasons: string[] = [];
  const admission = new Admission(
    limits,
    () => clock.ms,
    (reason) => reasons.push(reason),
  );
  return { admission, clock, reasons };
}

test("a place moves from queued to running to gone, and no step counts twice", () => {
  const { admission } = admissionAt();
  const place = admission.enter(7);
  assert.deepEqual(admission.depth, { queuedRequests: 1, queuedTokens: 7, running: 0 });
  place.start();
  place.start();
  assert.deepEqual(admission.depth, { queuedRequests: 0, queuedTokens: 0, running: 1 });
  place.leave();
  place.leave();
  assert.deepEqual(admission.depth, { queuedRequests: 0, queuedTokens: 0, running: 0 });
});

test("Retry-After follows the measured drain rate", () => {
  const { admission, clock } = admissionAt();
  for (let started = 0; started < 2000; started += 1) {
    clock.ms += 100;
    admission.enter(1).start();
  }
  for (let waiting = 0; waiting < 50; waiting += 1) admission.enter(1);
  assert.equal(admission.retryAfterSeconds, 5, "50 waiting at 10 a second take about 5 s");
});

test("Retry-After is a minute at most and a second at least", () => {
  const { admission } = admissionAt();
  admission.enter(1);
  assert.equal(admission.retryAfterSeconds, 60);
  const busy = admissionAt();
  for (let started = 0; started < 50; started += 1) busy.admission.enter(1).start();
  assert.equal(busy.admission.retryAfterSeconds, 1);
});

test("a rejection says by what the queue was full", () => {
  const { admission, reasons } = admissionAt({ maxQueuedRequests: 2, maxQueuedTokens: 10 });
  admission.enter(9);
  assert.throws(
    () => admission.enter(9),
    (error) => error instanceof AppError && error.kind === "overloaded",
  );
  admission.enter(1);
  assert.throws(() => admission.enter(1), AppError);
  assert.deepEqual(reasons, ["tokens", "requests"]);
});

test("each model has a queue of its own: one that is full refuses nobody at another", () => {
  const limits = { maxQueuedRequests: 2, maxQueuedTokens: 100 };
  const admission = new ModelAdmission(
    limits,
    () => 0,
    () => undefined,
  );
  admission.enter("busy", 1);
  admission.enter("busy", 1);
  assert.throws(() => admission.enter("busy", 1), { kind: "overloaded" });
  const place = admission.enter("quiet", 5);
  assert.deepEqual(admission.depth, { queuedRequests: 3, queuedTokens: 7, running: 0 });
  place.start();
  assert.deepEqual(admission.depth, { queuedRequests: 2, queuedTokens: 2, running: 1 });
});

test("what would be refused whatever its size is refused without entering, and counted", () => {
  const { admission, reasons } = admissionAt({ maxQueuedRequests: 2, maxQueuedTokens: 10 });
  admission.refuseIfFull();
  admission.enter(50);
  assert.throws(() => admission.refuseIfFull(), AppError);
  const small = admissionAt({ maxQueuedRequests: 1, maxQueuedTokens: 10 });
  const place = small.admission.enter(1);
  assert.throws(
    () => small.admission.refuseIfFull(),
    (error) => error instanceof AppError && error.kind === "overloaded" && error.retryAfterSeconds === 60,
  );
  place.leave();
  small.admission.refuseIfFull();
  assert.deepEqual([...reasons, ...small.reasons], ["tokens", "requests"]);
});

test("a model that nobody has asked for is not full", () => {
  const limits = { maxQueuedRequests: 1, maxQueuedTokens: 10 };
  const models = new ModelAdmission(
    limits,
    () => 0,
    () => undefined,
  );
  models.refuseIfFull("a");
  models.enter("a", 1);
  assert.throws(() => models.refuseIfFull("a"), AppError);
  models.refuseIfFull("b");
  assert.deepEqual(models.depth, { queuedRequests: 1, queuedTokens: 1, running: 0 });
});
