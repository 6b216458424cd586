// The history of a batch against counting by hand.
import assert from "node:assert/strict";
import { test } from "node:test";
import { BatchHistory } from "../../../../src/inference/engine/batch-history.js";
import { seededRandom } from "../../../support/random.js";

test("steps, mean and most rows since any mark are those of a plain list", () => {
  const random = seededRandom(3);
  const history = new BatchHistory();
  const rows: number[] = [];
  const marks = [{ at: 0, mark: history.mark() }];
  for (let step = 0; step < 500; step += 1) {
    rows.push(1 + Math.floor(random() * 32));
    history.add(rows.at(-1)!);
    if (random() < 0.2) marks.push({ at: rows.length, mark: history.mark() });
    for (const { at, mark } of marks) {
      const since = rows.slice(at);
      const sum = since.reduce((total, count) => total + count, 0);
      const expected = {
        steps: since.length,
        meanRows: since.length === 0 ? 0 : sum / since.length,
        maxRows: Math.max(0, ...since),
      };
      assert.deepEqual(history.since(mark), expected);
    }
  }
});
