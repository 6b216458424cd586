// npm run bench [-- --seconds 5]: the engine without HTTP, then the server with HTTP, on the shipped models.
// npm run bench -- --shapes: models of real shape against their stock graphs. npm run bench -- --fairness: a burst on one model beside another.
// npm run bench -- --scale: one worker against two, and what Redis costs.
// Each writes bench/results/<name>.json and .md; with --print it only tells.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { benchEngine, type EngineResult } from "./cases/engine.js";
import { benchFairness, type FairnessResult } from "./cases/fairness.js";
import { benchHttp, type HttpResult } from "./cases/http.js";
import { table } from "./tools/table.js";
import type { Percentiles } from "./tools/percentiles.js";
import { benchScale } from "./cases/scale.js";
import { benchStreamLatency } from "./cases/stream-latency.js";
import { latencyTable, scaleTable } from "./cases/scale-tables.js";
import {
  benchEngineShare,
  benchLoad,
  benchSteps,
  shapesIn,
  type EngineShare,
  type LoadResult,
  type StepResult,
} from "./cases/shapes.js";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "5" },
    shapes: { type: "boolean", default: false },
    fairness: { type: "boolean", default: false },
    scale: { type: "boolean", default: false },
    print: { type: "boolean", default: false },
    folder: { type: "string", default: ".cache/shapes" },
  },
});
const seconds = Number(values.seconds);
mkdirSync("bench/results", { recursive: true });
if (values.fairness) await runFairness();
else if (values.scale) await runScale();
else if (values.shapes) await runShapes(values.folder);
else await runShipped();

async function runShipped(): Promise<void> {
  const engine = await benchEngine(seconds);
  const http = await benchHttp(seconds);
  write("shipped", `npm run bench -- --seconds ${seconds}`, { engine, http }, [engineTable(engine), httpTable(http)]);
}

async function runShapes(root: string): Promise<void> {
  const steps: StepResult[] = [];
  const shares: EngineShare[] = [];
  const loads: LoadResult[] = [];
  for (const folder of shapesIn(root)) {
    for (const dtype of ["fp32", "int8"]) loads.push(benchLoad(folder, dtype));
    steps.push(...(await benchSteps(folder)));
    for (const dtype of ["fp32", "int8"]) shares.push(await benchEngineShare(folder, dtype));
  }
  const tables = [objectTable(steps), objectTable(shares), objectTable(loads)];
  write("shapes", "npm run bench -- --shapes", { steps, shares, loads }, tables);
}

async function runFairness(): Promise<void> {
  const fairness = await benchFairness();
  write("fairness", "npm run bench -- --fairness", { fairness }, [fairnessTable(fairness)]);
}

async function runScale(): Promise<void> {
  const scale = await benchScale(seconds);
  const latency = await benchStreamLatency();
  write("scale", `npm run bench -- --scale --seconds ${seconds}`, { scale, latency }, [
    scaleTable(scale),
    latencyTable(latency),
  ]);
}

function write(name: string, command: string, results: object, tables: readonly string[]): void {
  const text = tables.join("\n");
  console.log(text);
  if (values.print) return;
  writeFileSync(
    `bench/results/${name}.json`,
    `${JSON.stringify({ machine: machine(), command, ...results }, null, 2)}\n`,
  );
  writeFileSync(`bench/results/${name}.md`, `${describeMachine(command)}\n\n${text}`);
}

function objectTable(results: readonly object[]): string {
  const rows = results.map((result) => Object.values(result) as (string | number)[]);
  return table(Object.keys(results[0] ?? {}), rows);
}

function machine() {
  const dependencies = JSON.parse(readFileSync("package.json", "utf8")) as { dependencies: Record<string, string> };
  return {
    cpu: cpus()[0]?.model.trim(),
    cores: cpus().length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    kernel: release(),
    onnxruntime: dependencies.dependencies["onnxruntime-node"],
    date: new Date().toISOString().slice(0, 10),
  };
}

function describeMachine(command: string): string {
  const { cpu, cores, memoryGiB, node, onnxruntime, date } = machine();
  return `${cpu}, ${cores} cores, ${memoryGiB} GiB; Node ${node}, ONNX Runtime ${onnxruntime}; ${date}; \`${command}\`.`;
}

function engineTable(results: readonly EngineResult[]): string {
  const rows = results.map((r) => [
    r.model,
    r.inFlight,
    r.tokensPerSecond,
    `${r.timesOneInFlight}×`,
    r.meanRows,
    r.stepMs,
    r.hostShare,
  ]);
  return table(["engine: model", "in flight", "tok/s", "vs 1", "rows", "step ms", "host share"], rows);
}

function httpTable(results: readonly HttpResult[]): string {
  const three = ({ p50, p95, p99 }: { p50: number; p95: number; p99: number }) => `${p50} / ${p95} / ${p99}`;
  const rows = results.map((r) => [
    r.model,
    r.answers,
    r.clients,
    r.tokensPerSecond,
    `${r.timesOneClient}×`,
    r.answers === "json" ? "" : three(r.firstTokenMs),
    r.answers === "json" ? "" : three(r.gapMs),
    three(r.totalMs),
    r.differences,
    r.eventLoopDelayP99Ms,
  ]);
  const head = [
    "http: model",
    "answers",
    "clients",
    "tok/s",
    "vs 1",
    "first token ms p50/95/99",
    "gap ms",
    "total ms",
    "differences",
    "loop p99 ms",
  ];
  return table(head, rows);
}

function fairnessTable(results: readonly FairnessResult[]): string {
  const three = ({ p50, p95, p99 }: Percentiles) => `${p50} / ${p95} / ${p99}`;
  const rows = results.map((r) => [
    r.quiet,
    `${r.bursts} × ${r.burst} on ${r.busy}`,
    r.requestsAlone,
    three(r.aloneMs),
    r.requestsBeside,
    three(r.besideMs),
    `${r.p95Ratio}×`,
    r.burstSeconds,
    r.refused,
    r.clientNice,
  ]);
  const head = [
    "lightly loaded",
    "bursts",
    "requests alone",
    "ms p50/95/99",
    "beside",
    "ms p50/95/99",
    "p95",
    "burst s",
    "refused",
    "client's nice value",
  ];
  return table(head, rows);
}
