// Constants of a graph: building TensorProtos and reading their numbers, wherever the bytes are (inline, typed fields, a file beside the model).
import { closeSync, openSync, readSync } from "node:fs";
import { create } from "@bufbuild/protobuf";
import { TensorProto_DataLocation, TensorProto_DataType, TensorProtoSchema, type TensorProto } from "onnx-buf";
import { PatternMissing } from "./pattern.js";

export const dataType = TensorProto_DataType;

export function floatTensor(name: string, dims: readonly number[], values: ArrayLike<number>): TensorProto {
  return rawTensor(name, dataType.FLOAT, dims, Float32Array.from(values));
}

export function int64Tensor(name: string, dims: readonly number[], values: readonly number[]): TensorProto {
  return rawTensor(name, dataType.INT64, dims, BigInt64Array.from(values, BigInt));
}

/** A tensor over the given numbers; the bytes are shared, not copied. */
export function rawTensor(
  name: string,
  type: TensorProto_DataType,
  dims: readonly number[],
  values: ArrayBufferView<ArrayBuffer>,
): TensorProto {
  const rawData = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return create(TensorProtoSchema, { name, dataType: type, dims: dims.map(BigInt), rawData });
}

/** The same constant under another name; bytes shared. */
export function renamedTensor(tensor: TensorProto, name: string): TensorProto {
  const { dims, dataType: type, rawData, externalData, dataLocation } = tensor;
  const { floatData, int32Data, int64Data, doubleData, uint64Data } = tensor;
  const typed = { floatData, int32Data, int64Data, doubleData, uint64Data };
  return create(TensorProtoSchema, { name, dims, dataType: type, rawData, externalData, dataLocation, ...typed });
}

export function dimsOf(tensor: TensorProto): number[] {
  return tensor.dims.map(Number);
}

export function sizeOf(tensor: TensorProto): number {
  return dimsOf(tensor).reduce((product, dim) => product * dim, 1);
}

export function isExternal(tensor: TensorProto): boolean {
  return tensor.dataLocation === TensorProto_DataLocation.EXTERNAL;
}

/** Little-endian bytes as ONNX stores them. External tensors are read from their file now, and not kept. */
export function tensorBytes(tensor: TensorProto): Uint8Array<ArrayBuffer> {
  if (isExternal(tensor)) return readExternal(tensor);
  if (tensor.rawData.length > 0 || sizeOf(tensor) === 0) return tensor.rawData;
  return typedFieldBytes(tensor);
}

/** Where an external tensor lies: file, first byte, number of bytes (undefined: to the file's end). */
export function externalLocation(tensor: TensorProto): {
  location: string;
  offset: number;
  length: number | undefined;
} {
  const entry = (key: string): string | undefined => tensor.externalData.find((pair) => pair.key === key)?.value;
  const length = entry("length");
  return {
    location: entry("location") ?? "",
    offset: Number(entry("offset") ?? 0),
    length: length === undefined ? undefined : Number(length),
  };
}

function readExternal(tensor: TensorProto): Uint8Array<ArrayBuffer> {
  const { location, offset, length } = externalLocation(tensor);
  const bytes = new Uint8Array(length ?? sizeOf(tensor) * bytesPerElement(tensor));
  const file = openSync(location, "r");
  try {
    let done = 0;
    while (done < bytes.length) {
      const count = readSync(file, bytes, done, Math.min(bytes.length - done, 1 << 30), offset + done);
      if (count === 0)
        throw new PatternMissing(`external data of ${tensor.name} ends early in ${location}`, tensor.name);
      done += count;
    }
  } finally {
    closeSync(file);
  }
  return bytes;
}

const elementBytes = new Map<number, number>([
  [dataType.FLOAT, 4],
  [dataType.UINT8, 1],
  [dataType.INT8, 1],
  [dataType.INT32, 4],
  [dataType.INT64, 8],
  [dataType.BOOL, 1],
  [dataType.FLOAT16, 2],
  [dataType.DOUBLE, 8],
]);

function bytesPerElement(tensor: TensorProto): number {
  const bytes = elementBytes.get(tensor.dataType);
  if (bytes === undefined) throw new PatternMissing(`tensor of data type ${tensor.dataType} is not known`, tensor.name);
  return bytes;
}

function typedFieldBytes(tensor: TensorProto): Uint8Array<ArrayBuffer> {
  if (tensor.dataType === dataType.FLOAT) return new Uint8Array(Float32Array.from(tensor.floatData).buffer);
  if (tensor.dataType === dataType.INT64) return new Uint8Array(BigInt64Array.from(tensor.int64Data).buffer);
  if (tensor.dataType === dataType.INT32) return new Uint8Array(Int32Array.from(tensor.int32Data).buffer);
  if (tensor.dataType === dataType.DOUBLE) return new Uint8Array(Float64Array.from(tensor.doubleData).buffer);
  if (tensor.dataType === dataType.FLOAT16) return new Uint8Array(Uint16Array.from(tensor.int32Data).buffer);
  return Uint8Array.from(tensor.int32Data);
}

/** Numbers of a float, half or integer tensor. A float tensor whose bytes are aligned comes back as a view. */
export function floatsOf(tensor: TensorProto): Float32Array<ArrayBuffer> {
  const bytes = tensorBytes(tensor);
  if (tensor.dataType === dataType.FLOAT) return floatView(bytes);
  if (tensor.dataType === dataType.FLOAT16) return floatsOfHalves(new Uint16Array(alignedCopy(bytes)));
  return Float32Array.from(integersOf(tensor));
}

function floatView(bytes: Uint8Array<ArrayBuffer>): Float32Array<ArrayBuffer> {
  if (bytes.byteOffset % 4 === 0) return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  return new Float32Array(alignedCopy(bytes));
}

export function integersOf(tensor: TensorProto): number[] {
  const buffer = alignedCopy(tensorBytes(tensor));
  if (tensor.dataType === dataType.INT64) return Array.from(new BigInt64Array(buffer), Number);
  if (tensor.dataType === dataType.INT32) return Array.from(new Int32Array(buffer));
  if (tensor.dataType === dataType.INT8) return Array.from(new Int8Array(buffer));
  return Array.from(new Uint8Array(buffer));
}

// Buffer.prototype.slice would give a view: copy through the typed array's own method.
function alignedCopy(bytes: Uint8Array<ArrayBuffer>): ArrayBuffer {
  return Uint8Array.prototype.slice.call(bytes).buffer as ArrayBuffer;
}

/** Numbers of 16-bit words in half precision. */
export function floatsOfHalves(words: Uint16Array): Float32Array<ArrayBuffer> {
  return Float32Array.from(words, halfToFloat);
}

function halfToFloat(word: number): number {
  const sign = word & 0x8000 ? -1 : 1;
  const exponent = (word >> 10) & 0x1f;
  const fraction = word & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
