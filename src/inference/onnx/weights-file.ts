// Writes compiled models: graphs as small .onnx files, their weights once in one file beside them, which every session maps instead of copying.
import { closeSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  GraphProtoSchema,
  ModelProtoSchema,
  StringStringEntryProtoSchema,
  TensorProto_DataLocation,
  TensorProtoSchema,
  type ModelProto,
  type TensorProto,
} from "onnx-buf";
import { isExternal, tensorBytes } from "./tensor.js";

const weightsName = "weights.bin";
/** Smaller tensors stay in the graph: ORT reads shapes and axes while loading. */
const smallestOutside = 1024;
const largePage = 65536;

/** Writes `<name>.onnx` for each model and weights.bin into an existing folder; equal weights are written once. */
export function saveModels(folder: string, models: Readonly<Record<string, ModelProto>>): void {
  const weights = new WeightsFile(join(folder, weightsName));
  try {
    for (const [name, model] of Object.entries(models)) {
      writeFileSync(join(folder, `${name}.onnx`), toBinary(ModelProtoSchema, moveWeightsOut(model, weights)));
    }
  } finally {
    weights.close();
  }
}

function moveWeightsOut(model: ModelProto, weights: WeightsFile): ModelProto {
  const { graph } = model;
  if (graph === undefined) return model;
  const initializer = graph.initializer.map((tensor) => {
    const bytes = tensorBytes(tensor);
    return bytes.length < smallestOutside
      ? tensor
      : externalTensor(tensor, weights.add(bytes, !isExternal(tensor)), bytes.length);
  });
  const { name, node, input, output } = graph;
  const { irVersion, opsetImport, functions, producerName, producerVersion } = model;
  const moved = create(GraphProtoSchema, { name, node, input, output, initializer });
  return create(ModelProtoSchema, { irVersion, opsetImport, functions, producerName, producerVersion, graph: moved });
}

function externalTensor(tensor: TensorProto, offset: number, length: number): TensorProto {
  const entries = { location: weightsName, offset: String(offset), length: String(length) };
  return create(TensorProtoSchema, {
    name: tensor.name,
    dims: tensor.dims,
    dataType: tensor.dataType,
    dataLocation: TensorProto_DataLocation.EXTERNAL,
    externalData: Object.entries(entries).map(([key, value]) => create(StringStringEntryProtoSchema, { key, value })),
  });
}

class WeightsFile {
  readonly #file: number;
  readonly #written = new Map<number, { readonly bytes: Uint8Array; readonly offset: number }[]>();
  #end = 0;

  constructor(path: string) {
    this.#file = openSync(path, "wx");
  }

  /** Offset of these bytes in the file. `keep` remembers them, so that equal ones are written once; bytes are compared, not digests. */
  add(bytes: Uint8Array, keep: boolean): number {
    const same = this.#written.get(bytes.length)?.find((other) => Buffer.compare(other.bytes, bytes) === 0);
    if (same !== undefined) return same.offset;
    // Whole pages for large tensors, as the ONNX format advises for mapping.
    const alignment = bytes.length >= largePage ? 4096 : 64;
    const offset = Math.ceil(this.#end / alignment) * alignment;
    this.#write(bytes, offset);
    if (keep) this.#written.set(bytes.length, [...(this.#written.get(bytes.length) ?? []), { bytes, offset }]);
    return offset;
  }

  #write(bytes: Uint8Array, offset: number): void {
    let done = 0;
    while (done < bytes.length) {
      done += writeSync(this.#file, bytes, done, Math.min(bytes.length - done, 1 << 30), offset + done);
    }
    this.#end = offset + bytes.length;
  }

  close(): void {
    closeSync(this.#file);
  }
}
