// Compiled models on disk: one folder per content of the stock files and way of compiling. A start after the first only digests the files.
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { attempt, type Outcome } from "../../onnx/pattern.js";
import { externalFiles, readModel } from "../../onnx/read-model.js";
import { saveModels } from "../../onnx/weights-file.js";
import { rewriterVersion } from "../../protocol/facts.js";
import { compile, type CompileOptions, type StockFiles } from "./compile.js";
import type { Description } from "./description.js";

export interface CachePlan {
  /** Made if missing. */
  readonly directory: string;
  readonly files: StockFiles;
  readonly options: CompileOptions;
  /** Version of ONNX Runtime: what it fuses decides what we write. */
  readonly runtime: string;
}

export interface CachedModels {
  readonly folder: string;
  /** Path of encode.onnx. */
  readonly encode: string;
  readonly step: string;
  readonly description: Description;
  /** False when this call compiled. */
  readonly found: boolean;
}

/** Never throws: what cannot be read, rewritten or written is refused with a reason. Safe to call from several processes at once. */
export function compileCached(plan: CachePlan): Outcome<CachedModels> {
  const outcome = attempt(() => {
    const folder = join(plan.directory, cacheKey(plan));
    if (existsSync(join(folder, "description.json"))) return { ok: true as const, value: openFolder(folder, true) };
    const compiled = compile(plan.files, plan.options);
    if (!compiled.ok) return compiled;
    const { encode, step, description } = compiled.value;
    publish(folder, (draft) => {
      saveModels(draft, { encode, step });
      writeFileSync(join(draft, "description.json"), JSON.stringify(description, plainArrays));
    });
    return { ok: true as const, value: openFolder(folder, false) };
  });
  return outcome.ok ? outcome.value : outcome;
}

function openFolder(folder: string, found: boolean): CachedModels {
  const description = readDescription(join(folder, "description.json"));
  return { folder, encode: join(folder, "encode.onnx"), step: join(folder, "step.onnx"), description, found };
}

// A folder appears whole or not at all; who comes second keeps the first one's.
function publish(folder: string, write: (draft: string) => void): void {
  const draft = `${folder}.${process.pid}-${Date.now().toString(36)}`;
  mkdirSync(draft, { recursive: true });
  try {
    write(draft);
    renameSync(draft, folder);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    if (!existsSync(join(folder, "description.json"))) throw error;
  }
}

/** Hex digest of the files' bytes (external data included) and of all that shapes the result. */
export function cacheKey(plan: Omit<CachePlan, "directory">): string {
  const hash = createHash("sha256");
  const { dtype = "fp32", weightLimit = 127, heads = true, maxDistance = 0, attention = null } = plan.options;
  hash.update(JSON.stringify([rewriterVersion, plan.runtime, dtype, weightLimit, heads, maxDistance, attention]));
  for (const [role, path] of Object.entries(plan.files).toSorted()) {
    hash.update(role);
    for (const file of [path, ...externalFiles(readModel(path))]) hash.update(fileDigest(file));
  }
  return hash.digest("hex").slice(0, 32);
}

function fileDigest(path: string): Buffer {
  const hash = createHash("sha256");
  const chunk = Buffer.allocUnsafe(1 << 22);
  const file = openSync(path, "r");
  try {
    for (let count = readSync(file, chunk); count > 0; count = readSync(file, chunk))
      hash.update(chunk.subarray(0, count));
  } finally {
    closeSync(file);
  }
  return hash.digest();
}

function plainArrays(_key: string, value: unknown): unknown {
  return value instanceof Float32Array ? Array.from(value) : value;
}

function readDescription(path: string): Description {
  const plain = JSON.parse(readFileSync(path, "utf8")) as Description;
  const { relativeBias } = plain;
  return relativeBias === undefined
    ? plain
    : { ...plain, relativeBias: { ...relativeBias, table: Float32Array.from(relativeBias.table) } };
}
