// npm run suite: what needs more than Node and a redis-server, each by its name. Without a name: what there is, what it needs, and how long it takes.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { guarded } from "../../bench/tools/child-guard.js";
import { suites, suiteTable } from "./list.js";

const [name, ...rest] = process.argv.slice(2);
const suite = suites.find((one) => one.name === name);

if (suite === undefined) {
  if (name !== undefined) console.error(`no suite "${name}"\n`);
  console.log(suiteTable());
  process.exitCode = name === undefined ? 0 : 1;
} else {
  const file = new URL(`../../${suite.file}`, import.meta.url).pathname;
  const group = { stdio: "inherit", detached: true } as const;
  const child = guarded(spawn(process.execPath, [file, ...rest], group), true);
  const [code] = (await once(child, "exit")) as [number | null];
  process.exitCode = code ?? 1;
}
