// A recurrent decoder's states and input feeding: from the encoder or zeros at first, then what the step before returned. Slices by row.
import type { RecurrentDecoderPlan } from "../../../protocol/plan.js";
import { castElements, elementsOf } from "../elements.js";
import { tensor, valueOf, type Feeds, type OnnxSession, type TensorInfo, type Value } from "../onnx-session.js";
import { gatherPadded, gatherRows, product, type Slice } from "../rows.js";
import { declaredAxes, type Axes } from "./axes.js";
import { describeTensor } from "./require-tensors.js";
import type { EncodedSource, SourceEncoder } from "./source-encoder.js";

interface State {
  readonly info: TensorInfo;
  readonly output: string;
  readonly outputType: string;
  readonly axes: Axes;
  /** Place among the encoder's states; null: zeros. */
  readonly from: number | null;
}

export class DecoderStates {
  readonly #file: string;
  readonly #states: readonly State[];

  /** Throws one line that names file, role, tensor, expected and found. */
  constructor(
    decoder: OnnxSession,
    { inputs, outputs }: RecurrentDecoderPlan,
    encoder: SourceEncoder,
    batchName: number | string | undefined,
  ) {
    this.#file = decoder.file;
    const given = encoder.outputs.states;
    if (given.length !== 0 && given.length !== inputs.states.length) {
      const expected = `expected ${inputs.states.length} as decoder.inputs.states has (or none: zeros)`;
      throw new Error(`${encoder.session.file}: encoder.outputs.states: ${expected}, found ${given.length}`);
    }
    const make = (name: string, output: string | undefined, from: number | null): State => {
      const info = decoder.input(name);
      if (info === undefined || output === undefined) throw new Error(`${decoder.file}: no input "${name}"`);
      const outputType = decoder.output(output)?.type ?? info.type;
      return { info, output, outputType, from, axes: stateAxes(info, given[from ?? -1], encoder, batchName) };
    };
    this.#states = [
      ...inputs.states.map((name, k) => make(name, outputs.states[k], given.length === 0 ? null : k)),
      ...inputs.feed.map((name, k) => make(name, outputs.feed[k], null)),
    ];
    for (const { info, from } of this.#states)
      if (from !== null) requireRank(this.#file, info, encoder.session.output(given[from] ?? ""));
  }

  get outputs(): string[] {
    return this.#states.map((state) => state.output);
  }

  /** A new row's states. */
  first(source: EncodedSource): Slice[] {
    return this.#states.map((state) =>
      state.from === null ? this.#zeros(state, source.width) : (source.states[state.from] as Slice),
    );
  }

  /** @param rows the states of each row of one run. */
  feeds(rows: readonly (readonly Slice[])[], width: number): Feeds {
    const values = this.#states.map(({ axes }, k) => {
      const slices = rows.flatMap((states) => states[k] ?? []);
      return axes.length === null
        ? gatherRows(slices, axes.batch)
        : gatherPadded(slices, axes.batch, axes.length, width);
    });
    return Object.fromEntries(
      this.#states.map(({ info }, k) => {
        const { data, dims } = values[k] as Value;
        return [info.name, tensor(info.type, data, dims)] as const;
      }),
    );
  }

  /** The states of each of `count` rows after the run that was fed so. What comes out goes in again, so it must have the same sizes. */
  after(results: Readonly<Record<string, Value>>, feeds: Feeds, count: number): Slice[][] {
    const values = this.#states.map(({ info, output, outputType }): Value => {
      const { data, dims } = valueOf(results, output);
      const fed = feeds[info.name]?.dims ?? [];
      if (dims.join() !== fed.join())
        throw new Error(
          `${this.#file}: decoder output "${output}": expected [${fed}] as input "${info.name}" has, found [${dims}]`,
        );
      return { data: castElements(data, outputType, info.type, `output "${output}"`), dims };
    });
    return Array.from({ length: count }, (_, index) => values.map((value) => ({ value, index })));
  }

  #zeros({ info, axes }: State, width: number): Slice {
    const dims = info.dims.map((dim, axis) => {
      if (axis === axes.batch) return 1;
      if (typeof dim === "number") return dim;
      if (axis === axes.length) return width;
      throw new Error(
        `${this.#file}: decoder input "${info.name}": expected axes of known size for its zeros, found ${describeTensor(info)}`,
      );
    });
    return { value: { data: elementsOf(info.type, new Float32Array(product(dims)), info.name), dims }, index: 0 };
  }
}

function stateAxes(
  info: TensorInfo,
  given: string | undefined,
  encoder: SourceEncoder,
  batchName: number | string | undefined,
): Axes {
  return encoder.axes.get(given ?? "") ?? declaredAxes(info.dims, batchName);
}

function requireRank(file: string, info: TensorInfo, given: TensorInfo | undefined): void {
  if (given === undefined || given.dims.length === info.dims.length || given.dims.length === 0) return;
  throw new Error(
    `${file}: decoder.inputs.states "${info.name}": expected ${describeTensor(given)} as the encoder hands out "${given.name}", found ${describeTensor(info)}`,
  );
}
