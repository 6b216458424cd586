// How a pull is shown: a bar drawn over itself on a terminal, whole lines elsewhere.
import assert from "node:assert/strict";
import { test } from "node:test";
import { PullLines } from "../../../src/cli/pull-lines.js";
import { size } from "../../../src/cli/terminal.js";

const file = { path: "a.onnx", bytes: 600, checksum: { kind: "sha256", hex: "" } } as const;

test("lines: one at the beginning, one a file", () => {
  const lines: string[] = [];
  const shown = new PullLines("o/n", (line) => void lines.push(line), null);
  shown.start(2, 1000);
  shown.bytesDone(600);
  shown.fileDone(file);
  shown.bytesDone(400);
  shown.fileDone({ ...file, path: "b.onnx", bytes: 400 });
  shown.end();
  assert.deepEqual(lines, ["o/n: 2 files, 1.0 KB", "o/n: 1/2 a.onnx, 600 bytes", "o/n: 2/2 b.onnx, 400 bytes"]);
});

test("a bar: how much of how much, full at the end, then taken away", () => {
  const [lines, bars]: [string[], string[]] = [[], []];
  const shown = new PullLines(
    "",
    (line) => void lines.push(line),
    (bar) => void bars.push(bar),
  );
  shown.start(1, 1000);
  shown.bytesDone(600);
  shown.fileDone(file);
  shown.bytesDone(400);
  shown.fileDone(file);
  shown.end();
  assert.deepEqual(lines, ["1 file, 1.0 KB"]);
  assert.equal(bars[0], `[${" ".repeat(24)}] 0 %, 0 bytes of 1.0 KB`);
  assert.ok(bars.includes(`[${"=".repeat(14)}${" ".repeat(10)}] 60 %, 600 bytes of 1.0 KB`), bars.join("\n"));
  assert.deepEqual(bars.slice(-2), [`[${"=".repeat(24)}] 100 %, 1.0 KB of 1.0 KB`, ""]);
});

test("sizes for people", () => {
  const shown = [0, 999, 1000, 1_234_567, 3_500_000_000, 7e12].map(size);
  assert.deepEqual(shown, ["0 bytes", "999 bytes", "1.0 KB", "1.2 MB", "3.5 GB", "7000.0 GB"]);
});
