// Sessions for the tests of the compiler: stock files and rewritten models behind the self-check's `Run`.
import { existsSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, type ModelProto } from "onnx-buf";
import { InferenceSession, Tensor } from "onnxruntime-node";
import type { Compiled, StockFiles } from "../../../../../src/inference/engine/compiler/compile.js";
import type { Feeds, PlainTensor } from "../../../../../src/inference/engine/compiler/check/step-feeds.js";
import type { ModelRole, Run } from "../../../../../src/inference/engine/compiler/check/check-rows.js";

export interface StockCase {
  readonly name: string;
  readonly files: StockFiles;
  readonly layout: "merged" | "split";
}

/** The zoo, and any folders named by SEQSERVE_EXTRA_ZOO (a directory of model folders, colon-separated list allowed). */
export function stockCases(): StockCase[] {
  const roots = ["test/zoo", ...(process.env["SEQSERVE_EXTRA_ZOO"] ?? "").split(":").filter((root) => root !== "")];
  return roots.flatMap((root) =>
    readdirSync(root)
      .filter((entry) => statSync(join(root, entry)).isDirectory() && !entry.endsWith("-shape"))
      .flatMap((entry) => casesOf(entry, join(root, entry))),
  );
}

export function casesOf(name: string, folder: string): StockCase[] {
  const place = existsSync(join(folder, "onnx")) ? join(folder, "onnx") : folder;
  const file = (stem: string): string => join(place, `${stem}.onnx`);
  const encoder = file("encoder_model");
  if (!existsSync(encoder)) return [];
  const merged = file("decoder_model_merged");
  const [withPast, withoutPast] = [file("decoder_with_past_model"), file("decoder_model")];
  const cases: StockCase[] = [];
  if (existsSync(withPast))
    cases.push({ name: `${name} split`, layout: "split", files: { encoder, withPast, withoutPast } });
  if (existsSync(merged)) cases.push({ name: `${name} merged`, layout: "merged", files: { encoder, merged } });
  return cases;
}

const sessionOptions: InferenceSession.SessionOptions = { intraOpNumThreads: 1, logSeverityLevel: 3 };

export async function openModel(model: ModelProto | string): Promise<InferenceSession> {
  if (typeof model === "string") return InferenceSession.create(model, sessionOptions);
  return InferenceSession.create(toBinary(ModelProtoSchema, model), sessionOptions);
}

export async function runSession(session: InferenceSession, feeds: Feeds, outputs: readonly string[]): Promise<Feeds> {
  const known = Object.entries(feeds).filter(([name]) => session.inputNames.includes(name));
  const tensors = Object.fromEntries(known.map(([name, tensor]) => [name, ortTensor(tensor)]));
  const results = await session.run(tensors, [...outputs]);
  return Object.fromEntries(Object.entries(results).map(([name, tensor]) => [name, tensor as unknown as PlainTensor]));
}

function ortTensor({ type, data, dims }: PlainTensor): Tensor {
  if (type === "float32") return new Tensor(type, data as Float32Array, dims);
  if (type === "int64") return new Tensor(type, data as BigInt64Array, dims);
  return new Tensor(type, data as Uint8Array, dims);
}

/** Opens each model when it is first run; `compiled` may be left out to run stock files only. */
export function runner(files: StockFiles, compiled?: Pick<Compiled, "encode" | "step">): Run {
  const models: Partial<Record<ModelRole, ModelProto | string>> = { "stock.encoder": files.encoder };
  if (compiled !== undefined) Object.assign(models, { encode: compiled.encode, step: compiled.step });
  if ("merged" in files) models["stock.merged"] = files.merged;
  else Object.assign(models, { "stock.withPast": files.withPast, "stock.withoutPast": files.withoutPast });
  const open = new Map<ModelRole, Promise<InferenceSession>>();
  return async (role, feeds, outputs) => {
    const model = models[role];
    if (model === undefined) throw new Error(`no model for ${role}`);
    const session = open.get(role) ?? openModel(model);
    open.set(role, session);
    return runSession(await session, feeds, outputs);
  };
}
