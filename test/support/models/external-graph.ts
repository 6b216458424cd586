// An ONNX file whose largest weight lies in a file of its own, as exporters do for large models.
import { readFileSync } from "node:fs";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema, StringStringEntryProtoSchema, TensorProto_DataLocation } from "onnx-buf";

export function externalGraph(file: string, location: string): { graph: Buffer; weights: Buffer } {
  const model = fromBinary(ModelProtoSchema, readFileSync(file));
  const tensors = [...model.graph!.initializer].sort((a, b) => b.rawData.length - a.rawData.length);
  const [tensor] = tensors;
  const weights = Buffer.from(tensor!.rawData);
  const entries = Object.entries({ location, offset: "0", length: String(weights.length) });
  tensor!.rawData = new Uint8Array();
  tensor!.dataLocation = TensorProto_DataLocation.EXTERNAL;
  tensor!.externalData = entries.map(([key, value]) => create(StringStringEntryProtoSchema, { key, value }));
  return { graph: Buffer.from(toBinary(ModelProtoSchema, model)), weights };
}
