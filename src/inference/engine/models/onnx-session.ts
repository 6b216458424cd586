// The only home of onnxruntime-node: opens a graph, tells its tensors, runs it. Blocks its thread while running, so it lives in the engine's worker.
import { env, InferenceSession, Tensor } from "onnxruntime-node";
import { isCuda } from "../../protocol/precision.js";
import { elementsOf, type TensorData } from "./elements.js";

export type { TensorData } from "./elements.js";

export interface TensorInfo {
  readonly name: string;
  /** ONNX element type: "float32", "int64", "bool", … */
  readonly type: string;
  /** Axis sizes; a string is a symbolic one. */
  readonly dims: readonly (number | string)[];
}

export interface Value {
  readonly data: TensorData;
  readonly dims: readonly number[];
}

export interface SessionOptions {
  readonly threads: number;
  readonly device: string;
}

// What fails is thrown in the same words; printed by ONNX Runtime itself it would break the lines of others. Counts for what no session says.
env.logLevel = "fatal";

let insideMs = 0;

/** Milliseconds that this thread has spent inside ONNX Runtime, all sessions together. */
export function sessionMs(): number {
  return insideMs;
}

/** Feeds: typed array and dims by input name. Inputs are not copied; they must stay untouched during the run. */
export type Feeds = Readonly<Record<string, Tensor>>;

export class OnnxSession {
  readonly file: string;
  readonly inputs: readonly TensorInfo[];
  readonly outputs: readonly TensorInfo[];
  readonly #session: InferenceSession;

  private constructor(file: string, session: InferenceSession) {
    this.file = file;
    this.#session = session;
    this.inputs = session.inputMetadata.map(tensorInfo);
    this.outputs = session.outputMetadata.map(tensorInfo);
  }

  /** Opens the file, or `model`, which is then called `file`. Throws ONNX Runtime's own message, prefixed with the file. */
  static async open(file: string, options: SessionOptions, model?: Uint8Array): Promise<OnnxSession> {
    const created =
      model === undefined
        ? InferenceSession.create(file, sessionOptions(options))
        : InferenceSession.create(model, sessionOptions(options));
    try {
      return new OnnxSession(file, await created);
    } catch (error) {
      throw new Error(`${file}: ONNX Runtime cannot load it: ${(error as Error).message}`, { cause: error });
    }
  }

  input(name: string): TensorInfo | undefined {
    return this.inputs.find((info) => info.name === name);
  }

  output(name: string): TensorInfo | undefined {
    return this.outputs.find((info) => info.name === name);
  }

  /** Only `fetches` are computed into fresh arrays: leave out what is not needed, each output is a copy. */
  async run(feeds: Feeds, fetches: readonly string[]): Promise<Record<string, Value>> {
    const started = performance.now();
    const results = await this.#session.run(feeds, [...fetches]);
    insideMs += performance.now() - started;
    return results as unknown as Record<string, Value>;
  }

  async close(): Promise<void> {
    await this.#session.release();
  }
}

/** One output of a run. */
export function valueOf(results: Readonly<Record<string, Value>>, name: string): Value {
  const value = results[name];
  if (value === undefined) throw new Error(`the run returned no "${name}"`);
  return value;
}

/** A view on `data` as a tensor of that ONNX type; no copy. */
export function tensor(type: string, data: TensorData, dims: readonly number[]): Tensor {
  return new Tensor(type as "float32", data as Float32Array, dims);
}

/** Numbers in whatever element type the graph declares for that input. */
export function integerTensor(info: TensorInfo, values: ArrayLike<number>, dims: readonly number[]): Tensor {
  return tensor(info.type, elementsOf(info.type, values, `input "${info.name}"`), dims);
}

/** The version whose kernels run: what it fuses decides what the compiler writes. */
export const runtimeVersion = env.versions.node ?? env.versions.common;

function tensorInfo(metadata: InferenceSession.ValueMetadata): TensorInfo {
  if (!metadata.isTensor) return { name: metadata.name, type: "not a tensor", dims: [] };
  return { name: metadata.name, type: metadata.type, dims: metadata.shape };
}

function sessionOptions(options: SessionOptions): InferenceSession.SessionOptions {
  return {
    executionProviders: [isCuda(options.device) ? { name: "cuda", deviceId: cudaDevice(options.device) } : "cpu"],
    intraOpNumThreads: options.threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: "all",
    // Shapes change every step, so a memory pattern per shape would never be reused.
    enableMemPattern: false,
    logSeverityLevel: 4,
    // Spinning threads burn a core between steps; 200 µs keeps back-to-back latency.
    extra: { session: { intra_op: { spin_duration_us: "200" } } },
  };
}

function cudaDevice(device: string): number {
  return Number(device.split(":")[1] ?? 0);
}

// Node 24 has a Float16Array, and ONNX Runtime's binding (1.30) reads one as empty. Its JavaScript looks for that class once, at the first
// tensor: hidden then, a tensor of halves is of 16-bit words on every Node.
keepHalvesAsWords();

function keepHalvesAsWords(): void {
  const hidden = Object.getOwnPropertyDescriptor(globalThis, "Float16Array");
  if (hidden === undefined) return;
  Reflect.deleteProperty(globalThis, "Float16Array");
  tensor("uint16", new Uint16Array(1), [1]);
  Object.defineProperty(globalThis, "Float16Array", hidden);
}
