// Weights as large as the CPU's byte products can carry: integer sums are then exact, whatever its instructions.
import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { GraphProtoSchema, ModelProtoSchema, OperatorSetIdProtoSchema } from "onnx-buf";
import { node, valueInfo } from "../../../../../src/inference/onnx/node.js";
import { dataType, rawTensor } from "../../../../../src/inference/onnx/tensor.js";
import { OnnxSession, tensor, valueOf } from "../../../../../src/inference/engine/models/onnx-session.js";
import { weightLimit } from "../../../../../src/inference/engine/models/transformer/weight-limit.js";
import { seededRandom } from "../../../../support/random.js";

test("products of bytes with weights up to the limit are exact", async () => {
  const options = { threads: 1, device: "cpu" };
  const limit = await weightLimit(options);
  const [depth, columns, rows] = [96, 24, 5];
  const random = seededRandom(11);
  const weights = Int8Array.from({ length: depth * columns }, () => (random() < 0.8 ? limit : -limit));
  const bytes = Uint8Array.from({ length: rows * depth }, () => (random() < 0.8 ? 255 : 3));
  const graph = create(GraphProtoSchema, {
    name: "product",
    node: [node({ op: "MatMulInteger", inputs: ["bytes", "weights"], outputs: ["sums"] })],
    initializer: [rawTensor("weights", dataType.INT8, [depth, columns], weights)],
    input: [valueInfo("bytes", dataType.UINT8, [rows, depth])],
    output: [valueInfo("sums", dataType.INT32, [rows, columns])],
  });
  const opsetImport = [create(OperatorSetIdProtoSchema, { domain: "", version: 13n })];
  const model = toBinary(ModelProtoSchema, create(ModelProtoSchema, { irVersion: 8n, opsetImport, graph }));
  const session = await OnnxSession.open("product", options, model);
  const sums = valueOf(await session.run({ bytes: tensor("uint8", bytes, [rows, depth]) }, ["sums"]), "sums").data;
  await session.close();
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      let exact = 0;
      for (let k = 0; k < depth; k += 1) exact += bytes[row * depth + k]! * weights[k * columns + column]!;
      assert.equal(sums[row * columns + column], exact);
    }
  }
});
