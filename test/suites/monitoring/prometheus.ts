// A real Prometheus on a free port, with the rules of deploy/ in a hurry: it scrapes every second, and its rules look back seconds where they look back minutes.
import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "../../support/servers/redis.js";
import { guarded } from "../../../bench/tools/child-guard.js";

/** Why there is no Prometheus; false when there is one. */
export const withoutPrometheus: false | string =
  spawnSync("prometheus", ["--version"]).error === undefined && spawnSync("promtool", ["--version"]).error === undefined
    ? false
    : "prometheus and promtool are not installed (apt-get install prometheus)";

export const rulesFolder = "deploy/prometheus/rules";

export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  /** [seconds since the epoch, value] */
  readonly values: readonly (readonly [number, number])[];
}

export interface FiringAlert {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface Target {
  readonly address: string;
  readonly service: string;
}

// What a test can't wait for. Longer windows stay longer than shorter ones.
const windows: Readonly<Record<string, string>> = {
  "2m": "6s",
  "5m": "15s",
  "15m": "30s",
  "30m": "20s",
  "1h": "30s",
  "6h": "40s",
};

/** The text of a rules file with windows of seconds, and alerts that fire after 2 s. Throws at a window it does not know. */
export function shortened(rules: string): string {
  return rules
    .replaceAll(/\[(\d+[smhd])\]/gu, (_, window: string) => {
      const short = windows[window];
      if (short === undefined) throw new Error(`no short form for [${window}]`);
      return `[${short}]`;
    })
    .replaceAll(/for: [1-9]\d*[smh]/gu, "for: 2s");
}

export class Prometheus implements AsyncDisposable {
  readonly url: string;
  readonly #folder: string;
  readonly #child: ChildProcess;
  #said = "";

  private constructor(port: number, folder: string) {
    this.url = `http://127.0.0.1:${port}`;
    this.#folder = folder;
    const files = [`--config.file=${join(folder, "prometheus.yml")}`, `--storage.tsdb.path=${join(folder, "data")}`];
    this.#child = guarded(
      spawn("prometheus", [...files, `--web.listen-address=127.0.0.1:${port}`, "--log.level=warn"]),
    );
    this.#child.stderr?.on("data", (chunk: Buffer) => (this.#said += chunk.toString()));
    process.once("exit", () => this.#child.kill("SIGKILL"));
  }

  /** Resolves when it answers. */
  static async start(targets: readonly Target[]): Promise<Prometheus> {
    const folder = mkdtempSync(join(tmpdir(), "seqserve-prometheus-"));
    mkdirSync(join(folder, "rules"));
    for (const name of readdirSync(rulesFolder))
      writeFileSync(join(folder, "rules", name), shortened(readFileSync(join(rulesFolder, name), "utf8")));
    writeFileSync(join(folder, "prometheus.yml"), config);
    writeTargets(folder, targets);
    const prometheus = new Prometheus(await freePort(), folder);
    await prometheus.#untilReady();
    return prometheus;
  }

  /** It notices by itself, within a second or so. */
  setTargets(targets: readonly Target[]): void {
    writeTargets(this.#folder, targets);
  }

  /** Values that are not numbers are left out; so are series without any other. Throws what Prometheus says of a wrong expression. */
  async query(expr: string): Promise<Series[]> {
    const { resultType, result } = await this.#ask<Answer>("query", { query: expr });
    if (resultType === "scalar") return [{ metric: {}, values: [pair(result as unknown as Raw)] }];
    return result.map(({ metric, value = [0, "NaN"] }) => ({ metric, values: [pair(value)] })).filter(hasValues);
  }

  async queryRange(expr: string, start: number, end: number, stepSeconds: number): Promise<Series[]> {
    const range = { query: expr, start: String(start), end: String(end), step: String(stepSeconds) };
    const { result } = await this.#ask<Answer>("query_range", range);
    return result
      .map(({ metric, values = [] }) => ({
        metric,
        values: values.map(pair).filter(([, value]) => Number.isFinite(value)),
      }))
      .filter(({ values }) => values.length > 0);
  }

  /** As Grafana's label_values(match, label). */
  async labelValues(match: string, label: string): Promise<string[]> {
    return this.#ask<string[]>(`label/${label}/values`, { "match[]": match });
  }

  async firing(): Promise<FiringAlert[]> {
    const { alerts } = await this.#ask<{ alerts: (Omit<FiringAlert, "name"> & { state: string })[] }>("alerts", {});
    return alerts
      .filter(({ state }) => state === "firing")
      .map(({ labels, annotations }) => ({ name: labels["alertname"] ?? "", labels, annotations }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = new Promise((resolve) => this.#child.once("exit", resolve));
    if (this.#child.kill("SIGTERM")) await exited;
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #ask<T>(path: string, parameters: Record<string, string>): Promise<T> {
    const response = await fetch(`${this.url}/api/v1/${path}?${new URLSearchParams(parameters)}`);
    const body = (await response.json()) as { status: string; error?: string; data: T };
    if (body.status !== "success") throw new Error(`${parameters["query"] ?? path}: ${body.error}`);
    return body.data;
  }

  async #untilReady(): Promise<void> {
    for (let tries = 0; tries < 400; tries += 1) {
      if (this.#child.exitCode !== null) break;
      if ((await fetch(`${this.url}/-/ready`).catch(() => null))?.ok === true) return;
      await sleep(50);
    }
    throw new Error(`Prometheus did not start: ${this.#said}`);
  }
}

type Raw = readonly [number, string];

interface Answer {
  readonly resultType: string;
  readonly result: readonly { metric: Record<string, string>; value?: Raw; values?: readonly Raw[] }[];
}

const config = `
global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }
rule_files: [rules/*.yml]
scrape_configs:
  - job_name: seqserve
    file_sd_configs: [{ files: [targets.json], refresh_interval: 1s }]
`;

function writeTargets(folder: string, targets: readonly Target[]): void {
  const groups = targets.map(({ address, service }) => ({ targets: [address], labels: { service } }));
  const file = join(folder, "targets.json");
  writeFileSync(`${file}.new`, JSON.stringify(groups));
  renameSync(`${file}.new`, file);
}

function pair([at, value]: Raw): readonly [number, number] {
  return [at, value === "+Inf" ? Infinity : Number(value)];
}

function hasValues({ values }: Series): boolean {
  return values.some(([, value]) => Number.isFinite(value));
}
