// Loading a transformer folder: compile (or find in the cache), prove it against the stock files once, and serve it; else serve the stock files.
//
//   compileCached ─▶ opened ─▶ proof.json there? ─▶ TransformerModel           not known, not proven? ─▶ StockTransformer, with the reason
//                                   no ─▶ selfCheck against the stock files ─▶ proof.json
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { compileCached, type CachedModels } from "../graph/cache.js";
import type { StockFiles } from "../graph/compile.js";
import type { Refusal } from "../graph/pattern.js";
import { selfCheck, type CheckResult, type ModelRole, type Run } from "../graph/self-check.js";
import type { LoadedModel } from "./load-model.js";
import { OnnxSession, runtimeVersion, tensor, type SessionOptions } from "./onnx-session.js";
import type { TransformerPlan } from "./plan.js";
import { StockTransformer } from "./stock-transformer.js";
import { TransformerModel } from "./transformer.js";

/** int8 rounds weights and activations: its logits may move by this share of the largest. */
const int8Tolerance = 0.25;

/** Throws one line for the user when not even the stock files can be served. */
export async function loadTransformer(plan: TransformerPlan, options: SessionOptions): Promise<LoadedModel> {
  const files = stockFiles(plan);
  const cached = compileCached({
    directory: plan.cacheDir,
    files,
    options: { dtype: plan.dtype === "int8" ? "int8" : "fp32", ...(plan.maxDistance !== null && { maxDistance: plan.maxDistance }) },
    runtime: runtimeVersion,
  });
  if (!cached.ok) return loadStock(plan, options, refusalNote(cached));
  const encode = await OnnxSession.open(cached.value.encode, options);
  const step = await OnnxSession.open(cached.value.step, options);
  const proof = await proven(plan, files, cached.value, { encode, step }, options);
  if (!proof.ok) {
    await encode.close();
    await step.close();
    return loadStock(plan, options, `the rewritten graphs differ from the stock files by ${percent(proof.maxRelativeDifference)}`);
  }
  const { positionOffset: offset, sourceWidths } = proof;
  const { positions } = cached.value.description;
  const description = { ...cached.value.description, positions: positions && { ...positions, offset: offset ?? positions.offset } };
  const model = new TransformerModel({ encode, step, description, sourceWidths, padId: plan.padId });
  return { model, notes: [rewrittenNote(plan, proof)] };
}

async function loadStock(plan: TransformerPlan, options: SessionOptions, reason: string): Promise<LoadedModel> {
  const model = await StockTransformer.load(plan, options);
  const how = model.isAlone ? "one row a run (its quantisation scales whole tensors, so rows would change each other)" : "rows of equal age together";
  return { model, notes: [`stock graphs, ${how}: ${reason}`] };
}

function refusalNote({ reason, node }: Refusal): string {
  return node === "" ? reason : `${reason} (at ${node})`;
}

function rewrittenNote({ dtype }: TransformerPlan, proof: CheckResult): string {
  const bits = proof.bitEqual ? "the same bits in any company" : "equal to 1e-5 in any company";
  return `rewritten for rows of any age${dtype === "int8" ? " in int8 of our own" : ""}; ${bits}`;
}

function percent(share: number): string {
  return `${(share * 100).toPrecision(2)} %`;
}

function stockFiles(plan: TransformerPlan): StockFiles {
  const encoder = plan.encoderFile;
  if (plan.mergedFile !== null) return { encoder, merged: plan.mergedFile };
  if (plan.decoderFile === null || plan.decoderWithPastFile === null) throw new Error("a plan without decoder files");
  return { encoder, withPast: plan.decoderWithPastFile, withoutPast: plan.decoderFile };
}

// Bits depend on the CPU's kernels, so a proof holds for one kind of CPU and device.
async function proven(
  plan: TransformerPlan,
  files: StockFiles,
  cached: CachedModels,
  own: { encode: OnnxSession; step: OnnxSession },
  options: SessionOptions,
): Promise<CheckResult> {
  const machine = createHash("sha256").update(JSON.stringify([cpus()[0]?.model, options.device, options.threads]));
  const path = join(cached.folder, `proof-${machine.digest("hex").slice(0, 12)}.json`);
  if (existsSync(path)) return JSON.parse(readFileSync(path, "utf8")) as CheckResult;
  const { run, close } = runner(files, own, options);
  const result = await selfCheck(run, {
    description: cached.description,
    stock: "merged" in files ? "merged" : "split",
    sourceVocab: plan.sourceVocabSize ?? cached.description.vocabSize,
    ...(plan.dtype === "int8" && { tolerance: int8Tolerance, sameArgmax: false }),
  }).finally(close);
  writeFileSync(path, JSON.stringify(result));
  return result;
}

/** Stock sessions are opened when they are first run and closed with the check. */
function runner(files: StockFiles, own: { encode: OnnxSession; step: OnnxSession }, options: SessionOptions) {
  const paths = {
    "stock.encoder": files.encoder,
    "stock.merged": "merged" in files ? files.merged : null,
    "stock.withPast": "withPast" in files ? files.withPast : null,
    "stock.withoutPast": "withoutPast" in files ? files.withoutPast : null,
  };
  const stock = new Map<ModelRole, OnnxSession>();
  const sessionOf = async (role: ModelRole): Promise<OnnxSession> => {
    if (role === "encode" || role === "step") return own[role];
    const session = stock.get(role) ?? (await OnnxSession.open(paths[role] ?? role, options));
    stock.set(role, session);
    return session;
  };
  const run: Run = async (role, feeds, outputs) => {
    const session = await sessionOf(role);
    const known = Object.entries(feeds).filter(([name]) => session.input(name) !== undefined);
    const tensors = Object.fromEntries(known.map(([name, { type, data, dims }]) => [name, tensor(type, data, dims)]));
    return (await session.run(tensors, outputs)) as unknown as Awaited<ReturnType<Run>>;
  };
  const close = async () => {
    for (const session of stock.values()) await session.close();
  };
  return { run, close };
}
