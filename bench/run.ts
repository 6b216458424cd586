// npm run bench [-- --seconds 5]: the engine without HTTP, then the server with HTTP; writes bench/results/latest.json and .md.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { cpus, release, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { benchEngine, type EngineResult } from "./engine.js";
import { benchHttp, type HttpResult } from "./http.js";

const { values } = parseArgs({ options: { seconds: { type: "string", default: "5" } } });
const seconds = Number(values.seconds);
const engine = await benchEngine(seconds);
const http = await benchHttp(seconds);
const tables = `${engineTable(engine)}\n${httpTable(http)}`;
mkdirSync("bench/results", { recursive: true });
writeFileSync(
  "bench/results/latest.json",
  `${JSON.stringify({ machine: machine(), seconds, engine, http }, null, 2)}\n`,
);
writeFileSync("bench/results/latest.md", `${describeMachine()}\n\n${tables}`);
console.log(tables);

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

function describeMachine(): string {
  const { cpu, cores, memoryGiB, node, onnxruntime, date } = machine();
  return `${cpu}, ${cores} cores, ${memoryGiB} GiB; Node ${node}, ONNX Runtime ${onnxruntime}; ${date}; \`npm run bench -- --seconds ${seconds}\`.`;
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
    r.clients,
    r.tokensPerSecond,
    `${r.timesOneClient}×`,
    three(r.firstTokenMs),
    three(r.gapMs),
    three(r.totalMs),
    r.differences,
    r.eventLoopDelayP99Ms,
  ]);
  const head = [
    "http: model",
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

function table(head: readonly string[], rows: readonly (readonly (string | number | undefined)[])[]): string {
  const lines = [head, head.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`);
  return `${lines.join("\n")}\n`;
}
