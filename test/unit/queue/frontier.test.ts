// The merge of pushes and readings, step by step: what is held back, what is read again, what is never believed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AppError } from "../../../src/errors.js";
import { Frontier } from "../../../src/queue/log/frontier.js";
import type { LogEntry, Reading } from "../../../src/queue/log/token-log.js";
import { end, failure, token, tokens } from "../../support/contracts/generations.js";
import { below, pick, scaled, seededRandom } from "../../support/random.js";

function reading(
  entries: LogEntry[],
  lastSeq = entries.at(-1)?.seq ?? 0,
  state: Reading["state"] = "running",
): Reading {
  return { entries, state, lastSeq };
}

/** One that has passed on tokens 1 … count. */
function passed(count: number): Frontier {
  const frontier = new Frontier(0);
  frontier.accept(reading(tokens(1, count)));
  assert.deepEqual(frontier.take(), tokens(1, count));
  return frontier;
}

const isLost = (error: unknown): boolean => error instanceof AppError && error.kind === "log_lost";

test("entries behind a hole are held until it is filled, whatever the order", () => {
  const frontier = passed(2);
  frontier.offer([token(5), token(4)]);
  assert.deepEqual(frontier.take(), []);
  assert.equal(frontier.hasHole, true);
  assert.equal(frontier.readAfter, 2);
  frontier.offer([token(3)]);
  assert.equal(frontier.hasHole, false);
  assert.deepEqual(frontier.take(), tokens(3, 5));
  assert.equal(frontier.hasHole, false);
});

test("of an entry that was pushed twice before it was passed on, the later one counts", () => {
  const frontier = passed(1);
  frontier.offer([token(2, 222)]);
  frontier.offer([token(2)]);
  assert.deepEqual(frontier.take(), [token(2)]);
});

test("after the log got shorter nothing is passed on until it has been seen to hold the same again", () => {
  const frontier = passed(5);
  frontier.accept(reading([], 3));
  assert.equal(frontier.readAfter, 3);
  frontier.offer([token(6)]);
  assert.deepEqual(frontier.take(), []);
  assert.equal(frontier.hasHole, true);
  // One in the middle proves nothing about those before it.
  frontier.offer([token(5)]);
  assert.equal(frontier.readAfter, 3);
  frontier.offer([token(4)]);
  assert.equal(frontier.readAfter, 4);
  frontier.accept(reading(tokens(5, 7)));
  assert.deepEqual(frontier.take(), tokens(6, 7));
  assert.equal(frontier.readAfter, 7);
});

test("after a suspicion all that was passed on is compared, and nothing that was only pushed is believed", () => {
  const frontier = passed(3);
  frontier.offer([token(4, 444)]);
  frontier.suspect();
  assert.equal(frontier.readAfter, 0);
  assert.deepEqual(frontier.take(), []);
  frontier.accept(reading(tokens(1, 3)));
  assert.deepEqual(frontier.take(), []);
  frontier.offer([token(4)]);
  assert.deepEqual(frontier.take(), [token(4)]);
  frontier.suspect();
  assert.throws(() => frontier.accept(reading([token(1), token(2, 7), ...tokens(3, 9)])), isLost);
});

test("a reader that resumed is not asked for what it had before", () => {
  const frontier = new Frontier(3);
  frontier.accept(reading([token(4)]));
  assert.deepEqual(frontier.take(), [token(4)]);
  frontier.suspect();
  assert.equal(frontier.readAfter, 3);
  frontier.offer([token(1, 99)]);
  frontier.accept(reading([], 2));
  assert.equal(frontier.readAfter, 3);
  frontier.accept(reading([token(4), end(5)], 5, "ended"));
  assert.deepEqual(frontier.take(), [end(5)]);
});

test("nothing comes after the end", () => {
  const frontier = passed(2);
  frontier.offer([end(3), token(4)]);
  assert.deepEqual(frontier.take(), [end(3)]);
  assert.equal(frontier.isOver, true);
  assert.deepEqual(frontier.take(), []);
});

test("another index, another kind of entry, a log that ends early or lacks its entries: lost", () => {
  const other: LogEntry = { seq: 2, event: { ...token(2).event, index: 1 } as LogEntry["event"] };
  for (const entry of [other, token(2, 5), failure(2), end(1)]) {
    assert.throws(() => passed(3).offer([entry]), isLost, JSON.stringify(entry));
  }
  assert.throws(() => passed(3).accept(reading([], 2, "ended")), isLost);
  assert.throws(() => passed(3).accept(reading([], 5)), isLost);
  assert.throws(() => passed(3).accept(reading(tokens(4, 5), 6)), isLost);
  assert.throws(() => new Frontier(4).accept(reading([], 3)), isLost);
});

test("of a log that is created here pushes are believed without a reading, and it is lost if it is gone", () => {
  const frontier = Frontier.ofNew();
  frontier.offer(tokens(1, 2));
  assert.deepEqual(frontier.take(), tokens(1, 2));
  assert.throws(() => frontier.accept(reading([], 0, "gone")), isLost);
  const shorter = Frontier.ofNew();
  shorter.offer(tokens(1, 3));
  assert.deepEqual(shorter.take(), tokens(1, 3));
  shorter.accept(reading([], 1));
  shorter.accept(reading(tokens(2, 4), 4));
  assert.deepEqual(shorter.take(), [token(4)]);
});

test("any mix of pushes in any order and readings of any age gives each entry once, in order", () => {
  for (let seed = 1; seed <= scaled(300); seed += 1) {
    const random = seededRandom(seed);
    const whole = [...tokens(1, below(random, 30)), end(0)].map((entry, i) => ({ ...entry, seq: i + 1 }));
    const after = below(random, whole.length);
    const frontier = new Frontier(after);
    const seen: LogEntry[] = [];
    let written = after;
    while (!frontier.isOver) {
      if (random() < 0.5) written = Math.min(whole.length, written + 1);
      const act = pick(random, ["push", "push", "read", "suspect"]);
      const known = whole.slice(0, written);
      if (act === "push" && known.length > 0) frontier.offer([pick(random, known)]);
      if (act === "suspect" && random() < 0.2) frontier.suspect();
      if (act === "read" || random() < 0.05) {
        const state = written === whole.length ? "ended" : "running";
        frontier.accept(reading(known.slice(frontier.readAfter), written, state));
      }
      seen.push(...frontier.take());
    }
    assert.deepEqual(seen, whole.slice(after), `seed ${seed}`);
  }
});
