// An engine's nice value by its load, on a system that the test plays.
import assert from "node:assert/strict";
import { test } from "node:test";
import { ThreadPriority } from "../../../../src/inference/engine/yielding.js";

test("a lightly loaded engine goes level with the HTTP thread, a loaded one behind it, each told once", () => {
  const set: number[] = [];
  const priority = new ThreadPriority((nice) => set.push(nice));
  priority.adjust({ rows: 1, waiting: 0 });
  priority.adjust({ rows: 4, waiting: 0 });
  priority.adjust({ rows: 1, waiting: 40 });
  priority.adjust({ rows: 32, waiting: 0 });
  priority.adjust({ rows: 2, waiting: 1 });
  assert.deepEqual(set, [1, 0, 10, 0, 10, 0], "it has tried first whether it may go up again");
});

test("a process that may not raise its threads finds that out at once and leaves them level", () => {
  const asked: number[] = [];
  const priority = new ThreadPriority((nice) => {
    asked.push(nice);
    if (nice < 1) throw new Error("EACCES");
  });
  priority.adjust({ rows: 32, waiting: 9 });
  for (let step = 0; step < 3; step += 1) priority.adjust({ rows: 1, waiting: 0 });
  assert.deepEqual(asked, [1, 0]);
});

test("a process that was started nicer than a loaded engine stays as it is", () => {
  let asked = 0;
  const priority = new ThreadPriority(() => {
    asked += 1;
    throw new Error("EACCES");
  });
  priority.adjust({ rows: 1, waiting: 0 });
  priority.adjust({ rows: 32, waiting: 9 });
  assert.equal(asked, 1);
});
