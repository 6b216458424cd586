// Models of real shape (bench/shapes/make.py): CPU time of one decoder step for rewritten fp32, our int8 and the stock graphs in the same run, load times and memory.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { SequenceSpec } from "../../src/inference/protocol/engine-protocol.js";
import { Engine } from "../../src/inference/engine/engine.js";
import type { Wanted } from "../../src/inference/engine/decoding/search.js";
import { loadModel } from "../../src/inference/engine/models/load-model.js";
import type { Row, Seq2SeqModel } from "../../src/inference/engine/models/model.js";
import { sessionMs } from "../../src/inference/engine/models/onnx-session.js";
import type { TransformerPlan } from "../../src/inference/protocol/plan.js";
import { StockTransformer } from "../../src/inference/engine/models/transformer/stock-transformer.js";
import { readFolder } from "../../src/inference/folder/folder.js";
import { decoding } from "../../test/support/models/decoding.js";
import { round } from "../tools/percentiles.js";

const sourceLength = 32;
/** Ragged: rows of every age between these share a run. The stock graphs take one age, the highest, for all. */
const ages = { youngest: 16, oldest: 31 };
const rowCounts = [1, 8, 32];
const repeats = 15;
const cacheDir = ".cache/bench";
const sessionOptions = { threads: 1, device: "cpu" };

export interface StepResult {
  readonly shape: string;
  readonly kind: "stock fp32" | "rewritten fp32" | "int8";
  readonly rows: number;
  /** Of the process, median. */
  readonly cpuMs: number;
  readonly tokensPerCpuSecond: number;
  /** Tokens per CPU second against the stock graphs in this run. */
  readonly timesStock: number;
}

export interface LoadResult {
  readonly shape: string;
  readonly dtype: string;
  readonly fileMb: number;
  readonly firstMs: number;
  readonly cachedMs: number;
  /** Peak resident memory of the first load over that of an idle process. */
  readonly firstPeakMb: number;
  readonly cachedPeakMb: number;
}

export interface EngineShare {
  readonly shape: string;
  readonly dtype: string;
  readonly rows: number;
  readonly tokensPerSecond: number;
  /** Time outside ONNX Runtime over time inside it. */
  readonly addedToSession: number;
}

export function shapesIn(folder: string): string[] {
  if (!existsSync(folder)) throw new Error(`no ${folder}: make it with python bench/shapes/make.py`);
  return readdirSync(folder).map((name) => join(folder, name));
}

export async function benchSteps(folder: string): Promise<StepResult[]> {
  const results: StepResult[] = [];
  const stock = await StockTransformer.load(await planOf(folder, "fp32"), sessionOptions);
  const models = [
    { kind: "stock fp32" as const, model: stock as Seq2SeqModel },
    { kind: "rewritten fp32" as const, model: (await loadModel(await planOf(folder, "fp32"), sessionOptions)).model },
    { kind: "int8" as const, model: (await loadModel(await planOf(folder, "int8"), sessionOptions)).model },
  ];
  for (const rows of rowCounts) {
    const costs = await stepCosts(
      models.map(({ model }) => model),
      rows,
    );
    models.forEach(({ kind }, i) => {
      const cpuMs = costs[i] ?? Number.NaN;
      const timesStock = round((costs[0] ?? Number.NaN) / cpuMs, 2);
      const tokensPerCpuSecond = Math.round((rows * 1000) / cpuMs);
      results.push({ shape: nameOf(folder), kind, rows, cpuMs: round(cpuMs, 1), tokensPerCpuSecond, timesStock });
    });
  }
  for (const { model } of models) await model.close();
  return results;
}

/** Median CPU milliseconds of each model's step; the models take turns, so that a drifting machine hits all alike. */
async function stepCosts(models: readonly Seq2SeqModel[], count: number): Promise<number[]> {
  const prepared = [];
  for (const model of models) prepared.push({ model, rows: await agedRows(model, count), samples: [] as number[] });
  for (let repeat = -2; repeat < repeats; repeat += 1) {
    for (const { model, rows, samples } of prepared) {
      const before = rows.map((row) => ({ ...row }));
      const { user, system } = process.cpuUsage();
      await model.step(rows, wantedBy(rows));
      const used = process.cpuUsage({ user, system });
      if (repeat >= 0) samples.push((used.user + used.system) / 1000);
      rows.forEach((row, i) => Object.assign(row, before[i]));
    }
  }
  for (const { model, rows } of prepared) model.release(rows);
  return prepared.map(({ samples }) => samples.sort((a, b) => a - b)[repeats >> 1] ?? Number.NaN);
}

async function agedRows(model: Seq2SeqModel, count: number): Promise<Row[]> {
  const source = Array.from({ length: sourceLength }, (_, i) => 7 + ((i * 911) % 20_000));
  const takesRagged = !(model instanceof StockTransformer);
  const memories = await model.encode(Array.from({ length: count }, () => source));
  const rows: Row[] = [];
  for (let step = 0; step < ages.oldest; step += 1) {
    const left = takesRagged ? Math.ceil((count * (step + 1)) / (ages.oldest - ages.youngest)) : count;
    while (rows.length < Math.min(left, count)) rows.push(model.open(memories[rows.length] as never));
    rows.forEach((row, i) => (row.token = 100 + i));
    await model.step(rows, wantedBy(rows));
  }
  return rows;
}

function wantedBy(rows: readonly Row[]): Wanted[] {
  return rows.map(() => ({ kind: "top", k: 1, logSumExp: false }));
}

/** 32 sequences of unlike length through the whole engine: what scheduling, choosing, caches and feeds add to the sessions. */
export async function benchEngineShare(folder: string, dtype: string): Promise<EngineShare> {
  const { model } = await loadModel(await planOf(folder, dtype), sessionOptions);
  const engine = new Engine(
    model,
    { maxBatchRows: 32, maxEncodeTokens: 2048, ...sessionOptions },
    { elapsed: () => performance.now(), now: () => Date.now() },
  );
  for (let id = 0; id < 96; id += 1) engine.submit(sequence(id));
  let tokens = 0;
  const started = performance.now();
  const insideBefore = sessionMs();
  while (!engine.isIdle) tokens += (await engine.step()).report.tokens;
  const wall = performance.now() - started;
  const inside = sessionMs() - insideBefore;
  await model.close();
  const tokensPerSecond = Math.round((tokens * 1000) / wall);
  return {
    shape: nameOf(folder),
    dtype,
    rows: 32,
    tokensPerSecond,
    addedToSession: round((wall - inside) / inside, 3),
  };
}

function sequence(id: number): SequenceSpec {
  const sourceIds = Array.from({ length: 8 + ((id * 13) % 56) }, (_, i) => 7 + ((i * 911 + id) % 20_000));
  const options = decoding({ prefix: [0], eosTokenIds: [], maxLength: 17 + ((id * 29) % 48) });
  return {
    id,
    sourceIds,
    decoding: options,
    wantLogprobs: false,
    topN: 0,
    wantAttention: false,
    deadlineAt: null,
    priority: 5,
  };
}

/** Each load in a process of its own: the first compiles, the second finds it. */
export function benchLoad(folder: string, dtype: string): LoadResult {
  rmSync(cacheDir, { recursive: true, force: true });
  const idle = loadOnce(null, dtype);
  const first = loadOnce(folder, dtype);
  const cached = loadOnce(folder, dtype);
  return {
    shape: nameOf(folder),
    dtype,
    fileMb: first.fileMb,
    firstMs: first.ms,
    cachedMs: cached.ms,
    firstPeakMb: first.peakMb - idle.peakMb,
    cachedPeakMb: cached.peakMb - idle.peakMb,
  };
}

function loadOnce(folder: string | null, dtype: string): { ms: number; peakMb: number; fileMb: number } {
  const script = fileURLToPath(new URL("../tools/load-once.js", import.meta.url));
  const { stdout, stderr, status } = spawnSync(process.execPath, [script, folder ?? "", dtype, cacheDir], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as { ms: number; peakMb: number; fileMb: number };
}

async function planOf(folder: string, dtype: string): Promise<TransformerPlan> {
  const { plan } = await readFolder(folder, { dtype, cacheDir });
  if (plan.layout !== "transformer") throw new Error(`${folder} is no transformer folder`);
  return plan;
}

function nameOf(folder: string): string {
  return folder.split("/").at(-1) ?? folder;
}
