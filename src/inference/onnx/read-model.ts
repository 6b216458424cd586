// Reads an ONNX file into messages. Weights stay views of the file's bytes; external data is named by absolute path and read when wanted.
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, type GraphProto, type ModelProto, type TensorProto } from "onnx-buf";
import { isExternal } from "./tensor.js";

/** Throws what the file system or the decoder throws; callers run it inside `attempt`. */
export function readModel(path: string): ModelProto {
  const model = fromBinary(ModelProtoSchema, readFileSync(path));
  if (model.graph !== undefined) anchorExternalData(model.graph, dirname(resolve(path)));
  return model;
}

/** Files beside the model that hold its weights, absolute; none for most models. */
export function externalFiles(model: ModelProto): string[] {
  const locations = model.graph === undefined ? [] : tensorsOf(model.graph).filter(isExternal).map(locationOf);
  return [...new Set(locations.flatMap((entry) => entry?.value ?? []))];
}

function anchorExternalData(graph: GraphProto, folder: string): void {
  for (const tensor of tensorsOf(graph).filter(isExternal)) {
    const location = locationOf(tensor);
    if (location !== undefined) location.value = resolve(folder, location.value);
  }
}

function locationOf(tensor: TensorProto): { value: string } | undefined {
  return tensor.externalData.find((pair) => pair.key === "location");
}

function tensorsOf(graph: GraphProto): TensorProto[] {
  const inNodes = graph.node.flatMap((node) =>
    node.attribute.flatMap((held) => [...(held.t ? [held.t] : []), ...(held.g ? tensorsOf(held.g) : [])]),
  );
  return [...graph.initializer, ...inNodes];
}

/** A tensor whose bytes lie in a file of their own. */
export interface ExternalTensor {
  readonly name: string;
  /** Absolute. */
  readonly file: string;
  readonly offset: number;
  /** 0 where the file doesn't say: to its end. */
  readonly length: number;
}

export function externalTensors(model: ModelProto): ExternalTensor[] {
  if (model.graph === undefined) return [];
  return tensorsOf(model.graph)
    .filter(isExternal)
    .map((tensor) => {
      const entries = new Map(tensor.externalData.map(({ key, value }) => [key, value]));
      const [offset, length] = [Number(entries.get("offset") ?? 0), Number(entries.get("length") ?? 0)];
      return { name: tensor.name, file: entries.get("location") ?? "", offset, length };
    });
}

const perTensor = new Set(["DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"]);

/**
 * Whether activations are quantised dynamically with one scale per tensor, as stock _quantized files have it: there a row's numbers move with its
 * neighbours. Throws when the file cannot be read.
 */
export function quantisesPerTensor(path: string): boolean {
  const { graph } = readModel(path);
  return graph !== undefined && holdsPerTensor(graph);
}

function holdsPerTensor({ node }: GraphProto): boolean {
  return node.some(({ opType, attribute }) => {
    return perTensor.has(opType) || attribute.some(({ g }) => g !== undefined && holdsPerTensor(g));
  });
}
