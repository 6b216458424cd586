// `seqserve check folder`: what a model folder is, or the one line that says why it can't be served.
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CheckCommand, Config } from "../config/config.js";
import { cpuLimit } from "../config/cpu-limit.js";
import { chooseDevice } from "../inference/device/choose-device.js";
import { reportFolder, type FolderDetails, type FolderReport } from "../inference/catalog/folder-report.js";
import type { ManifestDraft } from "../inference/folder/draft/draft-manifest.js";
import { rowBytesAtLimits, type ModelInfo } from "../inference/catalog/model-info.js";
import { withProgress } from "./progress.js";
import { modelBody } from "../routes/models.js";
import { size, terminal, type Output } from "./terminal.js";

/** The exit code. Throws one line when there is no such folder. */
export async function check({ config, folder, isJson }: CheckCommand, output: Output = terminal): Promise<number> {
  const { device } = await chooseDevice(config.device, config.dtype);
  const work = reportFolder(folder, reportOptions({ ...config, device }));
  const report = await withProgress(work, { text: () => `loading ${folder}`, show: output.note });
  if (isJson) await output.print(`${JSON.stringify(reportBody(report), null, 2)}\n`);
  else await printForPeople(report, output);
  return report.details === null ? 1 : 0;
}

function reportOptions(config: Config) {
  const { device, dtype, engines, maxBatchRows, maxEncodeTokens, loadTimeoutMs } = config;
  const { maxInputTokens, maxNewTokens, maxBeams } = config;
  const cacheDir = config.cacheDir === "none" ? mkdtempSync(join(tmpdir(), "seqserve-")) : config.cacheDir;
  const limits = { maxInputTokens, maxNewTokens, maxBeams };
  const threads = config.threads ?? cpuLimit();
  return {
    device,
    dtype,
    engines,
    maxBatchRows,
    maxEncodeTokens,
    loadTimeoutMs,
    cacheDir,
    limits,
    threads,
    idleUnloadMs: 0,
  };
}

async function printForPeople({ info, details, draft }: FolderReport, { print, printError }: Output): Promise<void> {
  if (details !== null) return print(`${reportLines(info, details).join("\n")}\n`);
  printError(`seqserve: ${info.error ?? "it can't be served"}\n`);
  if (draft !== null) await print(`${draftLines(draft).join("\n")}\n`);
}

function draftLines({ text, confirmed, unsure }: ManifestDraft): string[] {
  const lines = [
    "",
    "a draft of its seqserve.json, to be checked:",
    ...text.split("\n"),
    ...(confirmed.length === 0 ? [] : ["confirmed", ...confirmed.map((line) => `- ${line}`)]),
    "unsure of",
    ...unsure.map((line) => `- ${line}`),
    "",
  ];
  return lines.map((line) => `      ${line}`);
}

/** What GET /models/{name} answers, and more. */
function reportBody({ info, details, draft }: FolderReport) {
  const { default: _, ...body } = modelBody(info);
  return {
    ...body,
    family: details?.family ?? null,
    file_sizes: details?.files ?? null,
    tokenizer: details?.tokenizer ?? null,
    draft,
  };
}

function reportLines(info: ModelInfo, details: FolderDetails): string[] {
  const facts = [info.layout, details.family, info.task, info.dtype, info.device].filter((fact) => fact !== null);
  const rows: [string, string[]][] = [
    ["files", details.files.map(({ role, file, bytes }) => `${role}: ${file}, ${size(bytes)}`)],
    ["weights", [`${size(info.memory.weightBytes ?? 0)} with external data`]],
    ["tokenizer", tokenizerLines(details, info)],
    ["languages", languageLines(info)],
    ["graphs", graphLines(info)],
    ["row memory", rowMemoryLines(info)],
    ["limits", [limitLine(info)]],
    ["notes", [...info.notes]],
  ];
  return [`${info.name}  ${facts.join(" · ")}`, ...rows.flatMap(([title, lines]) => titled(title, lines))];
}

function titled(title: string, lines: readonly string[]): string[] {
  return lines.map((line, i) => `  ${(i === 0 ? title : "").padEnd(12)}${line}`);
}

function tokenizerLines({ tokenizer }: FolderDetails, { vocabSize }: ModelInfo): string[] {
  const { source, target } = tokenizer;
  const kinds = source === target ? [source] : [`source: ${source}`, `target: ${target}`];
  return vocabSize > 0 ? [...kinds, `${vocabSize} scores a step`] : kinds;
}

function languageLines({ languages: { source, target } }: ModelInfo): string[] {
  const shown = (codes: readonly string[]) => {
    const more = codes.length > 12 ? `, … (${codes.length} in all)` : "";
    return `${codes.slice(0, 12).join(", ")}${more}`;
  };
  const sides = [["from", source] as const, ["to", target] as const];
  return sides.flatMap(([side, codes]) => (codes.length === 0 ? [] : [`${side} ${shown(codes)}`]));
}

const batchingWords = {
  any_age: "rows of any age share a run",
  equal_age: "rows of equal age share a run",
  one_row: "each row has a run of its own",
} as const;

function graphLines({ facts }: ModelInfo): string[] {
  if (facts === null) return ["served as they are"];
  const { fallbackReason, batching, bitEqual, int8, attention } = facts;
  const rewritten = fallbackReason === null ? "rewritten at load" : `served as they are: ${fallbackReason}`;
  const checked = bitEqual === true ? "the same bits in any company" : "not the same bits in any company";
  return [
    rewritten,
    batchingWords[batching],
    ...(bitEqual === null ? [] : [`self-check: ${checked}`]),
    ...(int8 === null ? [] : [`int8 against fp32: ${int8.same} of ${int8.tokens} tokens the same`]),
    ...(attention === null ? [] : [`attention of layer ${attention.layer}, heads ${attention.heads.join(", ")}`]),
  ];
}

function rowMemoryLines(info: ModelInfo): string[] {
  const { facts, limits } = info;
  if (facts === null) return ["no caches that grow with the text"];
  const { perTargetToken, perSourceToken } = facts.rowMemory;
  return [
    `${perTargetToken} bytes a target token, ${perSourceToken} bytes a source token`,
    `${size(rowBytesAtLimits(info) ?? 0)} at ${limits.maxInputTokens} source and ${limits.maxNewTokens} target tokens`,
  ];
}

function limitLine({ limits }: ModelInfo): string {
  return `${limits.maxInputTokens} source tokens, ${limits.maxNewTokens} new tokens, ${limits.maxBeams} beams`;
}
