// How the results of scale.ts and stream-latency.ts are shown.
import { round, type Percentiles } from "../tools/percentiles.js";
import type { ScaleResult } from "./scale.js";
import type { LatencyResult } from "./stream-latency.js";
import { table } from "../tools/table.js";

export function scaleTable(results: readonly ScaleResult[]): string {
  const rows = results.map((result) => {
    const { load = 0, ...served } = result.cpuMsPer1000Tokens;
    const sum = Object.values(served).reduce((total, ms) => total + ms, 0);
    const parts = Object.entries(served).map(([name, ms]) => `${name} ${ms}`);
    return [
      result.setting,
      result.tokensPerGeneration,
      result.generationsPerSecond,
      result.tokensPerSecond,
      round(sum, 1),
      parts.join(", "),
      load,
    ];
  });
  const cpu = "CPU ms / 1,000 tokens";
  return table(["processes", "tokens each", "generations/s", "tok/s", cpu, "of which", "load generator"], rows);
}

export function latencyTable(results: readonly LatencyResult[]): string {
  const three = ({ p50, p95, p99 }: Percentiles) => `${p50} / ${p95} / ${p99}`;
  const rows = results.map(({ setting, streams, firstMs, totalMs }) => [
    setting,
    streams,
    three(firstMs),
    three(totalMs),
  ]);
  return table(["one stream at a time", "streams", "first token ms p50/95/99", "total ms"], rows);
}
