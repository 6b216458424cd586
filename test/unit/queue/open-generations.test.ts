// The bound on open generations per key.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AppError } from "../../../src/errors.js";
import { OpenGenerations } from "../../../src/queue/open-generations.js";

function isLimited(error: unknown): boolean {
  return error instanceof AppError && error.kind === "rate_limited" && error.retryAfterSeconds === 1;
}

test("a key may have open what the bound allows and no more; another key has places of its own", () => {
  const open = new OpenGenerations(2);
  const [leave] = open.enter("a", 1);
  open.enter("a", 1);
  assert.throws(() => open.enter("a", 1), isLimited);
  open.enter("b", 2);
  leave!();
  open.enter("a", 1);
  assert.throws(() => open.enter("a", 1), isLimited);
});

test("several are let in together or not at all", () => {
  const open = new OpenGenerations(3);
  open.enter("a", 2);
  assert.throws(() => open.enter("a", 2), /2 generations open, at most 3/u);
  assert.equal(open.of("a"), 2);
  assert.throws(() => open.enter("b", 4), isLimited);
  assert.equal(open.of("b"), 0);
});

test("leaving twice frees once, and nothing is kept of keys without open generations", () => {
  const open = new OpenGenerations(2);
  const [first, second] = open.enter("a", 2);
  first!();
  first!();
  assert.equal(open.of("a"), 1);
  second!();
  assert.equal(open.of("a"), 0);
});

test("without a bound nobody is refused", () => {
  const open = new OpenGenerations(null);
  for (let i = 0; i < 10_000; i += 1) open.enter("a", 100);
  assert.equal(open.of("a"), 0);
});
