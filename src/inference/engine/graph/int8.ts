// Products with constant weights in int8: weights per column, made once; activations per row, made in every run, so that a row's numbers
// do not depend on its neighbours (the stock recipe takes one scale for all rows). Embeddings, norms and attention stay as they are.
//
//   x ─▶ MatMul(W)      becomes     x ─▶ Abs ─▶ ReduceMax ─▶ /127 = row scale ─▶ QuantizeLinear(x) ─▶ ·W8 ─▶ · column scale ─▶ · row scale
//                                   (quantised once for all products that read x: q, k and v of a layer)
import type { NodeProto } from "onnx-buf";
import { quantiseColumns, type Quantised } from "./column-weights.js";
import type { GraphView } from "./graph.js";
import { intsAttribute } from "./node.js";
import { integersConstant, numberConstant, reduceLast, reshape } from "./operators.js";
import { PatternMissing } from "./pattern.js";
import { dataType, dimsOf, rawTensor } from "./tensor.js";

export interface Int8Options {
  /** "rows": every product's input is one vector per row, [B,1,K]. "tokens": inputs [B,S,K], flattened around each product. */
  readonly layout: "rows" | "tokens";
  /** 63 on CPUs without VNNI, whose 16-bit sums of byte products would saturate with 127. */
  readonly weightLimit?: 127 | 63;
}

/** An activation in int8: value = (quantised − 128) · rowScale. */
interface Activation {
  readonly quantised: string;
  readonly rowScale: string;
}

/** Factor [B,1,1] that was held back from a product; see `scoresOf`. */
export interface Int8Products {
  readonly count: number;
  /** product output before the row scale, by the name of the output after it. */
  readonly unscaled: ReadonlyMap<string, { readonly value: string; readonly rowScale: string }>;
}

export function int8Products(view: GraphView, options: Int8Options): Int8Products {
  const products = view.nodes.filter((candidate) => constantWeight(view, candidate) !== undefined);
  const weights = new Map<string, Quantised>();
  const activations = new Map<string, Activation>();
  const unscaled = new Map<string, { value: string; rowScale: string }>();
  for (const product of products) {
    const [source = "", weightName = ""] = product.input;
    const activation = activations.get(source) ?? quantiseRows(view, source, options);
    activations.set(source, activation);
    const weight = weights.get(weightName) ?? quantiseWeight(view, weightName, options.weightLimit ?? 127);
    weights.set(weightName, weight);
    const value = integerProduct(view, activation, weight);
    const output = finish(view, product, value, activation, options);
    unscaled.set(output, { value, rowScale: activation.rowScale });
  }
  return { count: products.length, unscaled };
}

interface Weight {
  readonly name: string;
  readonly transposed: boolean;
}

// A matrix as it lies in the file, or the Transpose of one (a head tied to the embedding).
function constantWeight(view: GraphView, product: NodeProto): Weight | undefined {
  if (product.opType !== "MatMul") return undefined;
  return findWeight(view, product.input[1] ?? "");
}

function findWeight(view: GraphView, value: string): Weight | undefined {
  const maker = view.producer(value);
  const transposed = maker?.opType === "Transpose" && intsAttribute(maker, "perm").join() !== "0,1";
  const name = transposed ? (maker.input[0] ?? "") : value;
  const tensor = view.constant(name);
  const usable = tensor?.dims.length === 2 && tensor.dataType === dataType.FLOAT;
  return usable ? { name, transposed } : undefined;
}

function quantiseWeight(view: GraphView, value: string, limit: 127 | 63): Quantised {
  const weight = findWeight(view, value);
  const tensor = weight && view.constant(weight.name);
  if (weight === undefined || tensor === undefined) throw new PatternMissing("the weight is not a constant", value);
  const { values, scales } = quantiseColumns(tensor, weight.transposed, limit);
  const dims = dimsOf(tensor);
  const shape = weight.transposed ? dims.toReversed() : dims;
  const [name, scaleName] = [`${value}/int8`, `${value}/scale`];
  view.addConstant(rawTensor(name, dataType.INT8, shape, values));
  view.addConstant(rawTensor(scaleName, dataType.FLOAT, [scales.length], scales));
  return { name, scaleName, columns: scales.length };
}

function quantiseRows(view: GraphView, source: string, options: Int8Options): Activation {
  const rows = options.layout === "rows" ? source : flatten(view, source);
  const largest = reduceLast(view, "ReduceMax", view.add("Abs", [rows]), 1);
  // A row of zeros has scale 0: its quantised numbers mean nothing, and the row scale makes the product 0 again.
  const rowScale = view.add("Mul", [largest, numberConstant(view, 1 / 127)]);
  const scales = reshape(view, rowScale, [-1]);
  const quantised = view.add("QuantizeLinear", [rows, scales, zeroPoints(view)], { attributes: { axis: 0 } });
  return { quantised, rowScale };
}

function flatten(view: GraphView, source: string): string {
  const width = view.add("Slice", [shapeOf(view, source), ...[-1, 2 ** 31].map((edge) => integersConstant(view, [edge]))]);
  return view.add("Reshape", [source, view.add("Concat", [integersConstant(view, [-1]), width], { attributes: { axis: 0 } })]);
}

function shapeOf(view: GraphView, value: string): string {
  return view.readers(value).find((reader) => reader.opType === "Shape" && reader.attribute.length === 0)?.output[0] ?? view.add("Shape", [value]);
}

// 128 for each row, made once a run: all activations have one row per id that is fed.
function zeroPoints(view: GraphView): string {
  const name = "int8.zero_points";
  if (view.producer(name) !== undefined) return name;
  const value = rawTensor("", dataType.UINT8, [1], Uint8Array.of(128));
  return view.add("ConstantOfShape", [view.add("Shape", [reshape(view, "input_ids", [-1])])], { attributes: { value: { tensor: value } }, name });
}

function integerProduct(view: GraphView, activation: Activation, weight: Quantised): string {
  const zero = "int8.zero_point";
  if (!view.initializers.has(zero)) view.addConstant(rawTensor(zero, dataType.UINT8, [], Uint8Array.of(128)));
  const inputs = [activation.quantised, weight.name, numberConstant(view, 1), weight.scaleName, zero];
  return view.add("MatMulIntegerToFloat", inputs, { domain: "com.microsoft" });
}

// Multiplies by the row scale and takes the product's place; its output keeps its name.
function finish(view: GraphView, product: NodeProto, value: string, activation: Activation, options: Int8Options): string {
  const output = product.output[0] ?? "";
  view.remove(product);
  if (options.layout === "rows") return view.add("Mul", [value, activation.rowScale], { name: output });
  const scaled = view.add("Mul", [value, activation.rowScale]);
  const outer = view.add("Slice", [shapeOf(view, product.input[0] ?? ""), ...[0, -1].map((edge) => integersConstant(view, [edge]))]);
  const columns = integersConstant(view, [columnsOf(view, value)]);
  return view.add("Reshape", [scaled, view.add("Concat", [outer, columns], { attributes: { axis: 0 } })], { name: output });
}

function columnsOf(view: GraphView, value: string): number {
  const weight = view.constant(view.producer(value)?.input[1] ?? "");
  return weight === undefined ? 0 : (dimsOf(weight)[1] ?? 0);
}
