// Products with constant weights in int8: weights per column, made once; activations per row, made in every run, so that a row's numbers
// do not depend on its neighbours (the stock recipe takes one scale for all rows). Embeddings, norms and attention stay as they are.
//
//   x ─▶ MatMul(W)      becomes     x ─▶ Abs ─▶ ReduceMax ─▶ /127 = row scale ─▶ QuantizeLinear(x) ─▶ ·W8 ─▶ · column scale ─▶ · row scale
//                                   (quantised once for all products that read x: q, k and v of a layer)
import { create } from "@bufbuild/protobuf";
import {
  GraphProtoSchema,
  ModelProtoSchema,
  OperatorSetIdProtoSchema,
  type ModelProto,
  type NodeProto,
  type TensorProto,
} from "onnx-buf";
import type { GraphView } from "../../../onnx/graph.js";
import { intsAttribute, node, valueInfo } from "../../../onnx/node.js";
import { integersConstant, numberConstant, reduceLast, reshape } from "../../../onnx/operators.js";
import { PatternMissing } from "../../../onnx/pattern.js";
import { dataType, dimsOf, floatsOf, floatTensor, rawTensor } from "../../../onnx/tensor.js";
import { concatColumns, quantiseColumns, type ColumnWeights } from "./column-weights.js";

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

/** The row scale [B,1,1] of single products is kept apart too, so that it can be applied after choosing (see `takeScores` in compile.ts). */
export interface Int8Products {
  readonly count: number;
  /** product output before the row scale, by the name of the output after it. */
  readonly unscaled: ReadonlyMap<string, { readonly value: string; readonly rowScale: string }>;
}

export function int8Products(view: GraphView, options: Int8Options): Int8Products {
  const bySource = productsBySource(view);
  const unscaled = new Map<string, { value: string; rowScale: string }>();
  for (const [source, products] of bySource) {
    const activation = quantiseRows(view, source, options);
    if (options.layout === "rows" && products.length > 1) mergedProduct(view, products, activation, options);
    else for (const product of products) singleProduct(view, product, activation, options, unscaled);
  }
  return { count: [...bySource.values()].flat().length, unscaled };
}

function productsBySource(view: GraphView): Map<string, NodeProto[]> {
  const bySource = new Map<string, NodeProto[]>();
  for (const product of view.nodes) {
    const [source = "", weight = ""] = product.input;
    if (product.opType !== "MatMul" || findWeight(view, weight) === undefined) continue;
    bySource.set(source, [...(bySource.get(source) ?? []), product]);
  }
  return bySource;
}

function singleProduct(
  view: GraphView,
  product: NodeProto,
  activation: Activation,
  options: Int8Options,
  unscaled: Map<string, { value: string; rowScale: string }>,
): void {
  const weightName = product.input[1] ?? "";
  const stored = `${weightName}/int8`;
  if (!view.initializers.has(stored)) storeWeight(view, weightName, quantiseWeight(view, weightName, options));
  const value = integerProduct(view, activation, weightName);
  const output = replaceProduct(view, product, value, activation, options);
  unscaled.set(output, { value, rowScale: activation.rowScale });
}

//   q, k, v (or gate and up) as one product:   x8 ─▶ ·[Wq|Wk|Wv] ─▶ · row scale ─▶ + [bq|bk|bv] ─▶ Split
function mergedProduct(
  view: GraphView,
  products: readonly NodeProto[],
  activation: Activation,
  options: Int8Options,
): void {
  const parts = products.map((product) => quantiseWeight(view, product.input[1] ?? "", options));
  const name = view.fresh(`${products[0]?.input[1] ?? ""}/merged`);
  storeWeight(view, name, concatColumns(parts));
  const scaled = view.add("Mul", [integerProduct(view, activation, name), activation.rowScale]);
  const biases = products.map((product) => findBias(view, product));
  const allBiased = biases.every((bias) => bias !== undefined);
  const ends = allBiased ? biases.map((bias) => bias.add) : products;
  const whole = allBiased ? view.add("Add", [scaled, concatBiases(view, name, biases)]) : scaled;
  for (const gone of allBiased ? [...products, ...ends] : products) view.remove(gone);
  const sizes = integersConstant(
    view,
    parts.map((part) => part.scales.length),
  );
  const outputs = ends.map((end) => end.output[0] ?? "");
  view.insert(node({ op: "Split", inputs: [whole, sizes], outputs, attributes: { axis: -1 } }));
}

interface Bias {
  readonly add: NodeProto;
  readonly tensor: TensorProto;
}

function findBias(view: GraphView, product: NodeProto): Bias | undefined {
  const [add, ...others] = view.readers(product.output[0] ?? "");
  if (add?.opType !== "Add" || others.length > 0) return undefined;
  const tensor = add.input.map((name) => view.constant(name)).find((constant) => constant !== undefined);
  return tensor?.dims.length === 1 && tensor.dataType === dataType.FLOAT ? { add, tensor } : undefined;
}

function concatBiases(view: GraphView, name: string, biases: readonly Bias[]): string {
  const values = biases.flatMap((bias) => Array.from(floatsOf(bias.tensor)));
  return view.addConstant(floatTensor(`${name}/bias`, [values.length], values));
}

interface Weight {
  readonly tensor: TensorProto;
  readonly transposed: boolean;
}

// A matrix as it lies in the file, or the Transpose of one (a head tied to the embedding).
function findWeight(view: GraphView, value: string): Weight | undefined {
  const maker = view.producer(value);
  const transposed = maker?.opType === "Transpose" && intsAttribute(maker, "perm").join() !== "0,1";
  const name = transposed ? (maker.input[0] ?? "") : value;
  const tensor = view.constant(name);
  const usable = tensor?.dims.length === 2 && tensor.dataType === dataType.FLOAT;
  return usable ? { tensor, transposed } : undefined;
}

function quantiseWeight(view: GraphView, value: string, options: Int8Options): ColumnWeights {
  const weight = findWeight(view, value);
  if (weight === undefined) throw new PatternMissing("the weight is not a constant", value);
  return quantiseColumns(weight.tensor, weight.transposed, options.weightLimit ?? 127);
}

function storeWeight(view: GraphView, name: string, { values, scales }: ColumnWeights): void {
  const columns = scales.length;
  view.addConstant(rawTensor(`${name}/int8`, dataType.INT8, [values.length / columns, columns], values));
  view.addConstant(rawTensor(`${name}/scale`, dataType.FLOAT, [columns], scales));
}

function quantiseRows(view: GraphView, source: string, options: Int8Options): Activation {
  const rows = options.layout === "rows" ? source : flatten(view, source);
  const largest = reduceLast(view, "ReduceMax", view.add("Abs", [rows]), 1);
  // A row of zeros has scale 0: its quantised numbers mean nothing, and the row scale makes the product 0 again.
  const rowScale = view.add("Mul", [largest, numberConstant(view, 1 / 127)]);
  const scales = reshape(view, rowScale, [-1]);
  const quantised = view.add("QuantizeLinear", [rows, scales, zeroPoints(view, scales, options)], {
    attributes: { axis: 0 },
  });
  return { quantised, rowScale };
}

function flatten(view: GraphView, source: string): string {
  const width = view.add("Slice", [
    shapeOf(view, source),
    ...[-1, 2 ** 31].map((edge) => integersConstant(view, [edge])),
  ]);
  return view.add("Reshape", [
    source,
    view.add("Concat", [integersConstant(view, [-1]), width], { attributes: { axis: 0 } }),
  ]);
}

function shapeOf(view: GraphView, value: string): string {
  return (
    view.readers(value).find((reader) => reader.opType === "Shape" && reader.attribute.length === 0)?.output[0] ??
    view.add("Shape", [value])
  );
}

// 128 for each row. In a step all activations have one row per id, and share them; encoders may hold values of other lengths.
function zeroPoints(view: GraphView, scales: string, options: Int8Options): string {
  const shared = "int8.zero_points";
  if (options.layout === "rows" && view.producer(shared) !== undefined) return shared;
  const name = options.layout === "rows" ? shared : view.fresh(shared);
  const rows = options.layout === "rows" ? reshape(view, "input_ids", [-1]) : scales;
  const value = rawTensor("", dataType.UINT8, [1], Uint8Array.of(128));
  return view.add("ConstantOfShape", [view.add("Shape", [rows])], { attributes: { value: { tensor: value } }, name });
}

// The product with a stored weight, times the scale of each column.
function integerProduct(view: GraphView, activation: Activation, weight: string): string {
  const zero = "int8.zero_point";
  if (!view.initializers.has(zero)) view.addConstant(rawTensor(zero, dataType.UINT8, [], Uint8Array.of(128)));
  const inputs = [activation.quantised, `${weight}/int8`, numberConstant(view, 1), `${weight}/scale`, zero];
  return view.add("MatMulIntegerToFloat", inputs, { domain: "com.microsoft" });
}

// Multiplies by the row scale and takes the product's place; its output keeps its name.
function replaceProduct(
  view: GraphView,
  product: NodeProto,
  value: string,
  activation: Activation,
  options: Int8Options,
): string {
  const output = product.output[0] ?? "";
  view.remove(product);
  if (options.layout === "rows") return view.add("Mul", [value, activation.rowScale], { name: output });
  const scaled = view.add("Mul", [value, activation.rowScale]);
  const outer = view.add("Slice", [
    shapeOf(view, product.input[0] ?? ""),
    ...[0, -1].map((edge) => integersConstant(view, [edge])),
  ]);
  const columns = integersConstant(view, [columnsOf(view, value)]);
  return view.add("Reshape", [scaled, view.add("Concat", [outer, columns], { attributes: { axis: 0 } })], {
    name: output,
  });
}

function columnsOf(view: GraphView, value: string): number {
  const weight = view.constant(view.producer(value)?.input[1] ?? "");
  return weight === undefined ? 0 : (dimsOf(weight)[1] ?? 0);
}

export const byteSums = { input: "bytes", output: "sums", depth: 64, columns: 16, byte: 255, weight: 127 } as const;

/**
 * A question to the CPU, as a graph: does it add products of bytes exactly? Without VNNI (plain AVX2) pairs of products are added in 16 bits and
 * stick at 32,767: there our int8 weights keep to ±63, whose pairs always fit. bytes uint8 [B, depth] times a matrix of largest weights: where all
 * bytes are largest, each sum is depth · byte · weight.
 */
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
