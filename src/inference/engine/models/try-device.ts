// Whether ONNX Runtime opens and runs a session on a device: one small product, so that the provider, its driver and its library of products are loaded.
import { create, toBinary } from "@bufbuild/protobuf";
import { GraphProtoSchema, ModelProtoSchema, OperatorSetIdProtoSchema } from "onnx-buf";
import { node, valueInfo } from "../graph/node.js";
import { dataType } from "../graph/tensor.js";
import { OnnxSession, tensor, valueOf } from "./onnx-session.js";

/** ONNX Runtime's words when not. */
export async function tryDevice(device: string): Promise<string | null> {
  try {
    const session = await OnnxSession.open("a trial", { threads: 1, device }, product());
    const square = () => tensor("float32", Float32Array.of(1, 2, 3, 4), [2, 2]);
    const results = await session.run({ a: square(), b: square() }, ["product"]);
    await session.close();
    const found = Array.from(valueOf(results, "product").data, Number).join();
    return found === "7,10,15,22" ? null : `a product of two matrices came out as ${found}`;
  } catch (error) {
    return (error as Error).message.replace(/^a trial: ONNX Runtime cannot load it: /u, "");
  }
}

function product(): Uint8Array {
  const square = (name: string) => valueInfo(name, dataType.FLOAT, [2, 2]);
  const graph = create(GraphProtoSchema, {
    name: "trial",
    node: [node({ op: "MatMul", inputs: ["a", "b"], outputs: ["product"] })],
    input: [square("a"), square("b")],
    output: [square("product")],
  });
  const opsetImport = [create(OperatorSetIdProtoSchema, { domain: "", version: 17n })];
  return toBinary(ModelProtoSchema, create(ModelProtoSchema, { irVersion: 8n, opsetImport, graph }));
}
