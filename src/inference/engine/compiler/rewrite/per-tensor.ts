// Finds dynamic quantisation with one scale per tensor, as stock _quantized files have it: there a row's numbers move with its neighbours.
import { readModel } from "../../../onnx/read-model.js";
import type { GraphProto } from "onnx-buf";

const perTensor = new Set(["DynamicQuantizeLinear", "DynamicQuantizeMatMul", "DynamicQuantizeLSTM"]);

/** Throws when the file cannot be read. */
export function quantisesPerTensor(path: string): boolean {
  const { graph } = readModel(path);
  return graph !== undefined && holdsPerTensor(graph);
}

function holdsPerTensor({ node }: GraphProto): boolean {
  return node.some(({ opType, attribute }) => {
    return perTensor.has(opType) || attribute.some(({ g }) => g !== undefined && holdsPerTensor(g));
  });
}
