// A question to the CPU, as a graph: does it add products of bytes exactly? Without VNNI (plain AVX2) pairs of products are added in
// 16 bits and stick at 32,767: there our int8 weights keep to ±63, whose pairs always fit.
import { create } from "@bufbuild/protobuf";
import { GraphProtoSchema, ModelProtoSchema, OperatorSetIdProtoSchema, type ModelProto } from "onnx-buf";
import { node, valueInfo } from "../../../onnx/node.js";
import { dataType, rawTensor } from "../../../onnx/tensor.js";

export const byteSums = { input: "bytes", output: "sums", depth: 64, columns: 16, byte: 255, weight: 127 } as const;

/** bytes uint8 [B, depth] times a matrix of largest weights: where all bytes are largest, each sum is depth · byte · weight. */
export function byteSumsModel(): ModelProto {
  const { input, output, depth, columns, weight } = byteSums;
  const weights = rawTensor("weights", dataType.INT8, [depth, columns], new Int8Array(depth * columns).fill(weight));
  const graph = create(GraphProtoSchema, {
    name: "byte_sums",
    node: [node({ op: "MatMulInteger", inputs: [input, "weights"], outputs: [output] })],
    initializer: [weights],
    input: [valueInfo(input, dataType.UINT8, ["B", depth])],
    output: [valueInfo(output, dataType.INT32, ["B", columns])],
  });
  const opsetImport = [create(OperatorSetIdProtoSchema, { domain: "", version: 13n })];
  return create(ModelProtoSchema, { irVersion: 8n, opsetImport, graph });
}
