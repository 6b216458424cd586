// Whether ONNX Runtime opens and runs a session on a device: a small product and its largest numbers, so that the
// provider, its driver and the libraries of products and of reductions (cuDNN's, on CUDA) are loaded.
import { create, toBinary } from "@bufbuild/protobuf";
import { GraphProtoSchema, ModelProtoSchema, OperatorSetIdProtoSchema } from "onnx-buf";
import { node, valueInfo } from "../../onnx/node.js";
import { dataType } from "../../onnx/tensor.js";
import { OnnxSession, tensor, valueOf } from "./onnx-session.js";

/** ONNX Runtime's words when not. */
export async function tryDevice(device: string): Promise<string | null> {
  try {
    const session = await OnnxSession.open("a trial", { threads: 1, device }, trial());
    const square = () => tensor("float32", Float32Array.of(1, 2, 3, 4), [2, 2]);
    const results = await session.run({ a: square(), b: square() }, ["largest"]);
    await session.close();
    const found = Array.from(valueOf(results, "largest").data, Number).join();
    return found === "10,22" ? null : `the largest numbers of a product came out as ${found}`;
  } catch (error) {
    const { cause = error } = error as Error;
    return (cause as Error).message;
  }
}

function trial(): Uint8Array {
  const graph = create(GraphProtoSchema, {
    name: "trial",
    node: [
      node({ op: "MatMul", inputs: ["a", "b"], outputs: ["product"] }),
      node({ op: "ReduceMax", inputs: ["product"], outputs: ["largest"], attributes: { axes: [-1], keepdims: 0 } }),
    ],
    input: [valueInfo("a", dataType.FLOAT, [2, 2]), valueInfo("b", dataType.FLOAT, [2, 2])],
    output: [valueInfo("largest", dataType.FLOAT, [2])],
  });
  const opsetImport = [create(OperatorSetIdProtoSchema, { domain: "", version: 17n })];
  return toBinary(ModelProtoSchema, create(ModelProtoSchema, { irVersion: 8n, opsetImport, graph }));
}
