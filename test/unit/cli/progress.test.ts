// The line that is shown while something slow runs.
import assert from "node:assert/strict";
import { test } from "node:test";
import { withProgress } from "../../../src/cli/progress.js";

test("nothing is shown for what is quick; a line now and then for what is slow", async () => {
  const lines: string[] = [];
  const line = { text: () => "loading x", show: (shown: string) => void lines.push(shown) };
  await withProgress(Promise.resolve(), line, 20);
  assert.deepEqual(lines, []);
  await withProgress(new Promise((resolve) => setTimeout(resolve, 120)), line, 20);
  assert.ok(lines.length >= 2 && lines.length <= 5, String(lines.length));
  assert.equal(lines[0], "loading x (0 s)");
});
