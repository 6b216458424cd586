// The scheduler's policy by itself: no model, no clock.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Scheduler } from "../../../../src/inference/engine/scheduler.js";
import { fullScores } from "../../../../src/inference/engine/models/scores.js";
import type { SequenceSpec } from "../../../../src/inference/protocol/engine-protocol.js";
import { Sequence } from "../../../../src/inference/engine/sequence.js";
import { below, seededRandom } from "../../../support/random.js";
import { decoding } from "../../../support/models/decoding.js";
import { Candidates } from "../../../../src/inference/engine/decoding/rules/candidates.js";

let nextId = 0;
function sequence(sourceLength = 4, numBeams = 1, priority = 5, resumedTokens = 0): Sequence {
  const spec: SequenceSpec = {
    id: nextId++,
    sourceIds: Array.from({ length: sourceLength }, () => 3),
    decoding: decoding({ numBeams }),
    wantLogprobs: false,
    topN: 0,
    wantAttention: false,
    deadlineAt: null,
    priority,
    resumedTokens,
    resumedIds: [Array.from({ length: resumedTokens }, () => 4)],
  };
  return new Sequence(spec, new Candidates(16), 0);
}

function schedulerWith(sequences: readonly Sequence[], limits = { maxBatchRows: 8, maxEncodeTokens: 64 }): Scheduler {
  const scheduler = new Scheduler(limits);
  for (const one of sequences) scheduler.add(one);
  return scheduler;
}

test("rows are reserved for all the beams a sequence may ever hold", () => {
  const scheduler = schedulerWith([sequence(4, 4), sequence(4, 4), sequence(4, 1)]);
  assert.equal(scheduler.admit().length, 2);
  assert.equal(scheduler.waiting.length, 1);
});

test("a leaving sequence makes room at the next admission", () => {
  const [first, second] = [sequence(4, 8), sequence(4, 1)];
  const scheduler = schedulerWith([first, second]);
  assert.deepEqual(scheduler.admit(), [first]);
  scheduler.remove(first);
  assert.deepEqual(scheduler.admit(), [second]);
});

test("one encoder run takes no more padded tokens than it may", () => {
  const scheduler = schedulerWith([sequence(10), sequence(30), sequence(30)]);
  assert.equal(scheduler.admit().length, 2);
  assert.equal(scheduler.admit().length, 1);
});

test("a source longer than an encoder run still runs, alone", () => {
  const scheduler = schedulerWith([sequence(100), sequence(4)]);
  assert.equal(scheduler.admit().length, 1);
});

test("a sequence wider than the whole batch runs when it is alone", () => {
  const [wide, narrow] = [sequence(4, 12), sequence(4, 1)];
  const scheduler = schedulerWith([wide, narrow]);
  assert.deepEqual(scheduler.admit(), [wide]);
  assert.deepEqual(scheduler.admit(), []);
});

test("a wide sequence at the head of the queue is never overtaken", () => {
  const [running, wide, narrow] = [sequence(4, 4), sequence(4, 8), sequence(4, 1)];
  const scheduler = schedulerWith([running]);
  scheduler.admit();
  scheduler.add(wide);
  scheduler.add(narrow);
  assert.deepEqual(scheduler.admit(), []);
});

test("waiting sequences are admitted by priority, first come first served within one", () => {
  const [usual, urgent, other, late] = [sequence(4, 1, 5), sequence(4, 1, 1), sequence(4, 1, 5), sequence(4, 1, 10)];
  const scheduler = schedulerWith([late, usual, urgent, other], { maxBatchRows: 3, maxEncodeTokens: 64 });
  assert.deepEqual(scheduler.admit(), [urgent, usual, other]);
  assert.deepEqual(scheduler.waiting, [late]);
});

test("whatever order they come in, they leave by priority and then by arrival", () => {
  const random = seededRandom(3);
  const sequences = Array.from({ length: 200 }, () => sequence(4, 1, 1 + below(random, 10)));
  const scheduler = schedulerWith(sequences, { maxBatchRows: 1, maxEncodeTokens: 64 });
  const admitted: Sequence[] = [];
  while (!scheduler.isIdle) {
    const [one] = scheduler.admit();
    admitted.push(one!);
    scheduler.remove(one!);
  }
  const expected = sequences.toSorted((a, b) => a.spec.priority - b.spec.priority || a.spec.id - b.spec.id);
  assert.deepEqual(admitted, expected);
});

test("an urgent sequence takes nobody's rows away, and an urgent wide one is not overtaken either", () => {
  const [running, urgent, narrow] = [sequence(4, 6, 10), sequence(4, 4, 1), sequence(4, 1, 2)];
  const scheduler = schedulerWith([running]);
  scheduler.admit();
  scheduler.add(narrow);
  scheduler.add(urgent);
  assert.deepEqual(scheduler.admit(), []);
  assert.deepEqual(scheduler.running, [running]);
  scheduler.remove(running);
  assert.deepEqual(scheduler.admit(), [urgent, narrow]);
});

test("removing a waiting sequence leaves the reserved rows alone", () => {
  const [running, waiting] = [sequence(4, 8), sequence(4, 8)];
  const scheduler = schedulerWith([running, waiting]);
  scheduler.admit();
  scheduler.remove(waiting);
  scheduler.remove(running);
  assert.equal(scheduler.isIdle, true);
  scheduler.add(sequence(4, 8));
  assert.equal(scheduler.admit().length, 1);
});

function runningWith(running: number): Scheduler {
  const scheduler = schedulerWith(
    Array.from({ length: running }, () => sequence()),
    { maxBatchRows: 32, maxEncodeTokens: 2048 },
  );
  scheduler.admit();
  return scheduler;
}

test("beside a well filled batch a lone source waits two steps for company, then runs alone", () => {
  const scheduler = runningWith(24);
  scheduler.add(sequence());
  assert.equal(scheduler.admit().length, 0);
  assert.equal(scheduler.admit().length, 0);
  assert.equal(scheduler.admit().length, 1);
  scheduler.add(sequence());
  assert.equal(scheduler.admit().length, 0, "the next one waits anew");
});

test("sources run as soon as they are a quarter of the running sequences", () => {
  const scheduler = runningWith(20);
  for (let i = 0; i < 4; i += 1) scheduler.add(sequence());
  assert.equal(scheduler.admit().length, 0);
  scheduler.add(sequence());
  assert.equal(scheduler.admit().length, 5);
});

test("nothing waits for company while half of the rows are idle", () => {
  const scheduler = runningWith(15);
  scheduler.add(sequence());
  assert.equal(scheduler.admit().length, 1);
});

test("sources that fill an encoder run don't wait for more", () => {
  const scheduler = schedulerWith(
    Array.from({ length: 6 }, () => sequence()),
    { maxBatchRows: 8, maxEncodeTokens: 24 },
  );
  scheduler.admit();
  scheduler.add(sequence(20));
  scheduler.add(sequence(20));
  assert.equal(scheduler.admit().length, 1);
});

test("a waiting sequence that leaves does not shorten the wait of the next", () => {
  const scheduler = runningWith(24);
  const gone = sequence();
  scheduler.add(gone);
  scheduler.admit();
  scheduler.admit();
  scheduler.remove(gone);
  scheduler.admit();
  scheduler.add(sequence());
  assert.equal(scheduler.admit().length, 0);
});

/** It walks over all tokens that another worker emitted. */
function catchUp(behind: Sequence): void {
  while (behind.isCatchingUp) behind.advance([fullScores(new Float32Array(16))]);
}

test("those that catch up with another worker take eight steps for one of all", () => {
  const [running, behind] = [sequence(), sequence(4, 1, 5, 20)];
  const scheduler = schedulerWith([running, behind]);
  scheduler.admit();
  const taken = Array.from({ length: 20 }, () => scheduler.next().length);
  assert.deepEqual(taken, [1, 1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1, 2, 1, 1]);
  assert.ok(behind.isCatchingUp);
  catchUp(behind);
  assert.deepEqual(scheduler.next(), [running, behind]);
  assert.deepEqual(scheduler.next(), [running, behind]);
});

test("where all catch up, all step", () => {
  const scheduler = schedulerWith([sequence(4, 1, 5, 3), sequence(4, 1, 5, 9)]);
  scheduler.admit();
  assert.equal(scheduler.next().length, 2);
});
