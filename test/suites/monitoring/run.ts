// npm run suite -- monitoring: promtool on configuration, rules and their tests; then a real system under load, watched by a real Prometheus: every expression of
// dashboards and rules must have data, and each alert is caused, seen firing, and seen resolved. Windows and `for:` are shortened in a copy (prometheus.ts).
// `-- expressions` leaves the alerts out; `-- <part of a cause>` causes only those.
import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { AlertWatch } from "./alert-watch.js";
import { cluster, embedded, last, type Cause } from "./causes.js";
import { checkExpressions } from "./expressions.js";
import { keepMixed } from "./load.js";
import { rulesFolder, withoutPrometheus, type FiringAlert } from "./prometheus.js";
import { rules } from "./rules.js";
import { System } from "./system.js";

const warmUpMs = 45_000;
const firePatienceMs = 60_000;
const quietPatienceMs = 90_000;
const faults: string[] = [];
const [only = ""] = process.argv.slice(2);

if (withoutPrometheus !== false) throw new Error(withoutPrometheus);
const started = performance.now();
promtool();
await using system = await System.start();
await checkUnderLoad(system);
if (only !== "expressions") await causeAll(system);
say(
  `${faults.length === 0 ? "all is well" : `${faults.length} faults`}, ${Math.round((performance.now() - started) / 1000)} s`,
);
for (const fault of faults) say(`FAULT ${fault}`);
process.exitCode = faults.length === 0 ? 0 : 1;

function promtool(): void {
  const tests = readdirSync("deploy/prometheus/tests").map((name) => `deploy/prometheus/tests/${name}`);
  const files = readdirSync(rulesFolder).map((name) => `${rulesFolder}/${name}`);
  for (const args of [
    ["check", "config", "deploy/prometheus/prometheus.yml"],
    ["check", "rules", ...files],
    ["test", "rules", ...tests],
  ]) {
    execFileSync("promtool", args, { stdio: ["ignore", "ignore", "inherit"] });
    say(`promtool ${args[0]} ${args[1]}: ok`);
  }
}

async function checkUnderLoad({ prometheus, urls }: System): Promise<void> {
  const load = keepMixed({ urls, clients: 6, restMs: 100 });
  await sleep(warmUpMs);
  const checked = await checkExpressions(prometheus);
  await load.stop();
  for (const { where, expr, fault } of checked) if (fault !== null) faults.push(`${where}: ${fault}: ${expr}`);
  say(`${checked.length} expressions asked, ${checked.filter(({ fault }) => fault !== null).length} without data`);
  const series = checked.reduce((sum, one) => sum + one.series, 0);
  say(`${series} series in the answers`);
}

async function causeAll(all: System): Promise<void> {
  // Floods and standstills of the embedded server cost it scrapes.
  const isCounted = ({ name, labels }: FiringAlert) => name !== "SeqserveDown" || labels["service"] !== "server";
  const watch = new AlertWatch(all.prometheus, isCounted);
  // Shortened windows make starts look like trouble for a moment.
  await watch.quiet(
    rules().alerts.map(({ name }) => name),
    quietPatienceMs,
  );
  say("nothing fires while all is well");
  const table: string[][] = [["alert", "severity", "cause", "fired after s", "resolved after s"]];
  const run = async (causes: readonly Cause[]) => {
    for (const cause of causes.filter(({ what }) => what.includes(only)))
      table.push(...(await causeOne(all, watch, cause)));
  };
  await Promise.all([run(cluster), run(embedded)]);
  await run(last);
  await watch.stop();
  for (const row of table) say(`| ${row.join(" | ")} |`);
  const untold = rules().alerts.filter(({ name }) => only === "" && !table.some(([told]) => told === name));
  for (const { name } of untold) faults.push(`${name}: nothing causes it`);
}

async function causeOne(all: System, watch: AlertWatch, { what, alerts, run }: Cause): Promise<string[][]> {
  try {
    await watch.quiet(alerts, quietPatienceMs);
    const from = performance.now();
    say(`${seconds(from - started)} s: ${what}`);
    await run(all, (...names) => watch.fired(names.length === 0 ? alerts : names, from, firePatienceMs));
    const undone = performance.now();
    await watch.quiet(alerts, quietPatienceMs);
    say(`${seconds(performance.now() - started)} s: fired and resolved: ${alerts.join(", ")}`);
    return alerts.map((name) => {
      const { firedAt = 0, resolvedAt, alert } = watch.seen.get(name) ?? {};
      const resolved = Math.max(0, (resolvedAt ?? 0) - undone);
      return [name, alert?.labels["severity"] ?? "", what, seconds(firedAt - from), seconds(resolved)];
    });
  } catch (error) {
    faults.push(`${what}: ${(error as Error).message}`);
    say(`${seconds(performance.now() - started)} s: FAULT ${faults.at(-1)}`);
    return [];
  }
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}

function say(line: string): void {
  console.log(line);
}
