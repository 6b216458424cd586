// Runs tests: `npm test` those that start no process, `npm run test:all` all of them, with --rest those that `npm test` leaves out. Which kind a test
// is, its folder says. Paths (test/unit/queue, test/process/chaos.test.ts) choose some. Nothing that a test starts outlives this process.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { guarded } from "../bench/tools/child-guard.js";

const runner = new URL("./support/run-files.js", import.meta.url).pathname;
const child = guarded(
  spawn(process.execPath, [runner, ...process.argv.slice(2)], { stdio: "inherit", detached: true }),
  true,
);
const [code] = (await once(child, "exit")) as [number | null];
process.exitCode = code ?? 1;
