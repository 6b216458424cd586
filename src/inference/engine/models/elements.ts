// Element types of ONNX tensors: numbers into whatever a graph declares, and back. One graph's float16 state may be the next one's float32.
import { floatsOfHalves } from "../../onnx/tensor.js";

export type TensorData = Float32Array | Float64Array | BigInt64Array | Int32Array | Uint8Array | Uint16Array;

const makers: Readonly<Record<string, (values: ArrayLike<number>) => TensorData>> = {
  int64: (values) => BigInt64Array.from(values as number[], (value) => BigInt(Math.trunc(value))),
  int32: (values) => Int32Array.from(values),
  uint8: (values) => Uint8Array.from(values),
  bool: (values) => Uint8Array.from(values as number[], (value) => Number(value !== 0)),
  float32: (values) => Float32Array.from(values),
  float64: (values) => Float64Array.from(values),
  float16: (values) => Uint16Array.from(values as number[], halfOf),
};

/** Throws one line for an element type that no role takes. */
export function elementsOf(type: string, values: ArrayLike<number>, what: string): TensorData {
  const make = makers[type];
  if (make === undefined) throw new Error(`${what}: expected one of ${Object.keys(makers).join(", ")}, found ${type}`);
  return make(values);
}

/** The data itself where it holds plain numbers. */
export function numbersOf(type: string, data: TensorData): ArrayLike<number> {
  if (data instanceof BigInt64Array) return Array.from(data, Number);
  if (type === "float16" && data instanceof Uint16Array) return floatsOfHalves(data);
  return data;
}

/** The same data where both types are one. */
export function castElements(data: TensorData, from: string, to: string, what: string): TensorData {
  return from === to ? data : elementsOf(to, numbersOf(from, data), what);
}

function halfOf(value: number): number {
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (Number.isNaN(size)) return 0x7e00;
  if (size >= 65_520) return sign | 0x7c00;
  if (size < 2 ** -14) return sign | roundToEven(size * 2 ** 24);
  const exponent = Math.floor(Math.log2(size));
  // A fraction that rounds up to 1024 carries into the exponent, as it should.
  return sign | (((exponent + 15) << 10) + roundToEven((size / 2 ** exponent - 1) * 1024));
}

function roundToEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below;
}
