// Which axis of a tensor is the batch and which the source's length: what grows with B and what grows with S in runs of an encoder.

export interface Axes {
  readonly batch: number;
  /** null: the tensor has no length. */
  readonly length: number | null;
}

/** Sizes of one tensor in three runs; null where such a run is not possible. */
export interface ProbedDims {
  readonly one: readonly number[];
  readonly twoRows: readonly number[] | null;
  readonly longer: readonly number[] | null;
}

/** Throws one line that begins with `what`. */
export function axesOf(what: string, { one, twoRows, longer }: ProbedDims): Axes {
  const length = growingAxes(one, longer)[0] ?? null;
  if (twoRows === null) return { batch: Math.max(one.indexOf(1), 0), length };
  const [batch, ...others] = growingAxes(one, twoRows);
  if (batch !== undefined && others.length === 0) return { batch, length };
  throw new Error(
    `${what}: expected one axis that grows with the batch, found [${one}] for 1 and [${twoRows}] for 2 sources`,
  );
}

/**
 * Axes by the graph's own words, for tensors that no run can be asked about: the batch is called as the ids' first axis is (a name, or a fixed
 * size), else it is the first symbol.
 */
export function declaredAxes(dims: readonly (number | string)[], batchName: number | string | undefined): Axes {
  const symbols = dims.flatMap((dim, axis) => (typeof dim === "string" ? [axis] : []));
  const named = dims.indexOf(batchName ?? "");
  const batch = named === -1 ? (symbols[0] ?? 0) : named;
  return { batch, length: symbols.find((axis) => axis !== batch) ?? null };
}

function growingAxes(one: readonly number[], other: readonly number[] | null): number[] {
  return one.flatMap((size, axis) => (other !== null && other[axis] !== size ? [axis] : []));
}
