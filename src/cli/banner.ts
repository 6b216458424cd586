// What a person reads at the start: what is loaded, from where, on which device, and where to call it. Pure: text out.
import { join } from "node:path";
import type { ModelInfo } from "../inference/catalog/model-info.js";

export interface BannerOptions {
  readonly version: string;
  /** http://host:port */
  readonly url: string;
  readonly modelsDir: string;
  readonly models: readonly ModelInfo[];
  /** Seconds from the process's start until everything was loaded. */
  readonly seconds: number;
  readonly colour: boolean;
  /** With REDIS_URL: this process's role, and where Redis is, without its password. */
  readonly shared: { readonly role: string; readonly redis: string } | null;
}

export function banner({ version, url, modelsDir, models, seconds, colour, shared }: BannerOptions): string {
  const { bold, dim, red } = colour ? ansi : plain;
  const width = Math.max(5, ...models.map(({ name }) => name.length));
  const lines = models.map((model) =>
    shared?.role === "api" && model.state !== "failed"
      ? `  ${nameOf(model, width)}  on workers`
      : modelLines(model, width, modelsDir, { dim, red }).join("\n"),
  );
  return [
    "",
    `  ${bold(`seqserve ${version}`)}  ready in ${seconds.toFixed(1)} s`,
    "",
    `  models   ${modelsDir}`,
    ...lines,
    "",
    `  listens  ${bold(url)}`,
    ...(shared === null ? [] : [`  role     ${shared.role}, Redis at ${shared.redis}`]),
    ...(shared?.role === "worker" ? [] : callLines(url, models)),
    "",
    "",
  ].join("\n");
}

function callLines(url: string, models: readonly ModelInfo[]): string[] {
  const example = `  try      curl -s ${url}/generate -H 'content-type: application/json' -d '{"inputs": "hello"}'`;
  return [`  docs     ${url}/docs`, ...(models.some(({ state }) => state === "ready") ? [example] : [])];
}

function nameOf({ isDefault, name }: ModelInfo, width: number): string {
  return `${isDefault ? "*" : " "} ${name.padEnd(width)}`;
}

interface Styles {
  readonly dim: (text: string) => string;
  readonly red: (text: string) => string;
}

function modelLines(model: ModelInfo, width: number, modelsDir: string, { dim, red }: Styles): string[] {
  const name = nameOf(model, width);
  if (model.state !== "ready") return [`  ${name}  ${red(`failed: ${failureLine(model, modelsDir)}`)}`];
  const { layout, dtype, device, engines, threads, loadMs, task } = model;
  const size = `${engines} engine${engines === 1 ? "" : "s"} x ${threads} thread${threads === 1 ? "" : "s"}`;
  const facts = [task ?? layout, dtype, device, size, `${(loadMs / 1000).toFixed(1)} s`].join(" · ");
  const files = [...new Set(Object.values(model.files))].join(", ");
  return [
    `  ${name}  ${facts}`,
    ...[files, ...model.notes, int8Hint(model)]
      .filter((line) => line !== "")
      .map((line) => `  ${" ".repeat(width + 2)}  ${dim(line)}`),
  ];
}

/** What DTYPE=int8 would gain, where it can be made: from fp32 graphs that the compiler knows, on a CPU. */
function int8Hint({ dtype, device, facts }: ModelInfo): string {
  const isServed = dtype === "fp32" && device === "cpu" && facts?.fallbackReason === null;
  return isServed ? "DTYPE=int8 would be about 1.5 to 4 times as fast (docs/int8.md)" : "";
}

/** Why the model can't be served, and where `seqserve check` can help. */
export function failureLine({ name, error = "unknown", needsManifest }: ModelInfo, modelsDir: string): string {
  return needsManifest === true ? `${error}; \`seqserve check ${join(modelsDir, name)}\` drafts a manifest` : error;
}

const style = (code: number) => (text: string) => `\u001B[${code}m${text}\u001B[0m`;
const ansi = { bold: style(1), dim: style(2), red: style(31) };
const unstyled = (text: string) => text;
const plain = { bold: unstyled, dim: unstyled, red: unstyled };
