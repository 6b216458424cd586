// Proof that compiled graphs say what the stock files say, found once and kept beside them. Bits depend on the CPU's kernels, so a proof
// holds for one kind of CPU, device and number of threads.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import type { Agreement } from "../../../protocol/facts.js";
import { isCuda } from "../../../protocol/precision.js";
import type { CachedModels } from "../../compiler/cache.js";
import type { ModelRole, Run } from "../../compiler/check/check-rows.js";
import { selfCheck, type CheckOptions, type CheckResult } from "../../compiler/check/self-check.js";
import type { StockFiles } from "../../compiler/compile.js";
import { OnnxSession, tensor, type SessionOptions } from "../onnx-session.js";

export interface Proof {
  readonly check: CheckResult;
  /** int8 against fp32, once it was measured. */
  readonly agreement?: Agreement;
}

export interface CompiledSessions {
  readonly encode: OnnxSession;
  readonly step: OnnxSession;
}

/** Reads the kept proof, or proves and keeps it. */
export async function findOrMakeProof(
  files: StockFiles,
  cached: CachedModels,
  own: CompiledSessions,
  options: SessionOptions,
  check: Omit<CheckOptions, "description" | "stock">,
): Promise<Proof> {
  const path = proofFile(cached, options);
  if (existsSync(path)) return JSON.parse(readFileSync(path, "utf8")) as Proof;
  const { run, close } = runner(files, own, options);
  const stock = "merged" in files ? "merged" : "split";
  const proof = { check: await selfCheck(run, { ...check, stock, description: cached.description }).finally(close) };
  keepProof(cached, options, proof);
  return proof;
}

export function keepProof(cached: CachedModels, options: SessionOptions, proof: Proof): void {
  writeFileSync(proofFile(cached, options), JSON.stringify(proof));
}

function proofFile({ folder }: CachedModels, { device, threads }: SessionOptions): string {
  const machine = createHash("sha256")
    .update(JSON.stringify([cpus()[0]?.model, device, threads]))
    .digest("hex");
  return join(folder, `proof-${machine.slice(0, 12)}.json`);
}

/** Stock sessions are opened when they are first run and closed with the check. */
function runner(files: StockFiles, own: CompiledSessions, options: SessionOptions) {
  const paths: Partial<Record<ModelRole, string>> = {
    "stock.encoder": files.encoder,
    ...("merged" in files
      ? { "stock.merged": files.merged }
      : { "stock.withPast": files.withPast, "stock.withoutPast": files.withoutPast }),
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

/** int8 rounds weights and activations: its logits may move by this share of the largest. */
const int8Tolerance = 0.25;

/** Half precision has three digits; so has TF32, in which CUDA multiplies float32. */
const halfTolerance = 0.005;

/** For the self-check; {} is its own measure, for sums of float32 in another order. */
export function checkTolerance(
  arithmetic: "float32" | "half" | "int8",
  device: string,
): Pick<CheckOptions, "tolerance" | "sameArgmax"> {
  if (arithmetic === "int8") return { tolerance: int8Tolerance, sameArgmax: false };
  return arithmetic === "half" || isCuda(device) ? { tolerance: halfTolerance } : {};
}
