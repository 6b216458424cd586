import assert from "node:assert/strict";
import { test } from "node:test";
import { philox4x32, uniform } from "../../../../../src/inference/engine/decoding/rules/random.js";

test("Philox4x32-10 gives the known answers of Random123", () => {
  const all = 0xffffffff;
  assert.deepEqual(philox4x32([0, 0, 0, 0], [0, 0]), [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
  assert.deepEqual(philox4x32([all, all, all, all], [all, all]), [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]);
  const pi = [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344] as const;
  assert.deepEqual(philox4x32(pi, [0xa4093822, 0x299f31d0]), [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]);
});

function chiSquare(counts: readonly number[], expected: readonly number[]): number {
  return counts.reduce((sum, count, i) => sum + (count - expected[i]!) ** 2 / expected[i]!, 0);
}

test("numbers are uniform in [0, 1) along positions, outputs and seeds", () => {
  const draws = 32_000;
  const bins = 64;
  const along = {
    position: (i: number) => uniform(7, 0, i),
    output: (i: number) => uniform(7, i, 3),
    seed: (i: number) => uniform(i * 2 ** 37 + i, 0, 0),
  };
  for (const [name, draw] of Object.entries(along)) {
    const counts = Array.from({ length: bins }, () => 0);
    for (let i = 0; i < draws; i += 1) {
      const u = draw(i);
      assert.ok(u >= 0 && u < 1);
      counts[Math.floor(u * bins)]! += 1;
    }
    // 63 degrees of freedom: 103 is exceeded once in a thousand.
    assert.ok(
      chiSquare(
        counts,
        counts.map(() => draws / bins),
      ) < 103,
      name,
    );
  }
});

test("every bit of a seed up to 2^53 matters", () => {
  const seen = new Set(Array.from({ length: 53 }, (_, bit) => uniform(2 ** bit, 0, 5)));
  assert.equal(seen.size, 53);
});

test("a number does not depend on what was drawn before it", () => {
  const forwards = Array.from({ length: 100 }, (_, i) => uniform(1, 2, i));
  const backwards = Array.from({ length: 100 }, (_, i) => uniform(1, 2, 99 - i)).toReversed();
  assert.deepEqual(forwards, backwards);
});

test("neighbours in position and output are not correlated", () => {
  const pairs = Array.from({ length: 20_000 }, (_, i) => [
    uniform(3, 0, i) - 0.5,
    uniform(3, 0, i + 1) - 0.5,
    uniform(3, 1, i) - 0.5,
  ]);
  for (const other of [1, 2]) {
    const correlation = pairs.reduce((sum, pair) => sum + pair[0]! * pair[other]!, 0) / pairs.length / (1 / 12);
    assert.ok(Math.abs(correlation) < 0.03, String(correlation));
  }
});
