// Runs the test files that its arguments choose, several at a time, with Node's own runner. Started by test/run.ts.
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { relative } from "node:path";
import { run } from "node:test";
import { spec } from "node:test/reporters";
import { parseArgs } from "node:util";
import { chooseFiles } from "./choose-files.js";

const timeoutMs = 600_000;
/** How many of the slowest files are named at the end. */
const slowestShown = 8;

interface Event {
  readonly nesting: number;
  readonly file?: string;
  readonly details: { readonly duration_ms: number };
}

const { values, positionals } = parseArgs({
  options: { all: { type: "boolean", default: false }, rest: { type: "boolean", default: false } },
  allowPositionals: true,
});
// By their sources: dist/ still holds what was compiled from files that have gone since.
const compiled = readdirSync("test", { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".test.ts"))
  .map((name) => `dist/test/${name.replace(/\.ts$/u, ".js")}`);
const files = chooseFiles(compiled, values.rest ? "rest" : values.all ? "all" : "fast", positionals);

// Most files wait for a thread or a process of theirs now and then: one more file than cores keeps the cores busy.
const stream = run({ files: [...files], concurrency: availableParallelism() + 1, timeout: timeoutMs });
const secondsOf = new Map<string, number>();
stream.on("test:pass", count);
stream.on("test:fail", (event) => {
  process.exitCode = 1;
  count(event);
});
// The summary comes last: what counts tests reads it there.
stream.once("test:diagnostic", () => {
  const slowest = [...secondsOf].sort(([, a], [, b]) => b - a).slice(0, slowestShown);
  console.log(["slowest files:", ...slowest.map(([file, seconds]) => `${seconds.toFixed(1)} s  ${file}`)].join("\n  "));
});
stream.compose(new spec()).pipe(process.stdout);

/** Adds a whole test's time to that of its file (where tests are shared: the file that holds them). */
function count({ nesting, file = "", details }: Event): void {
  if (nesting > 0) return;
  const name = relative("dist", file);
  secondsOf.set(name, (secondsOf.get(name) ?? 0) + details.duration_ms / 1000);
}
