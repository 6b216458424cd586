// The last ids of a run's rows as its decoder wants them: ids or one-hot rows, with or without a time axis, which may come first.
import { integerTensor, type Feeds, type TensorInfo } from "../onnx-session.js";
import { oneHot } from "../padding.js";

interface TokenKind {
  readonly isOneHot: boolean;
  readonly isTimeFirst: boolean;
  /** 0 before it is known. */
  readonly vocabSize: number;
}

/** Throws one line where one-hot rows have no known size. */
export function tokenFeeds(file: string, info: TensorInfo, tokens: readonly number[], kind: TokenKind): Feeds {
  const rows = tokens.length;
  const sizes = kind.isTimeFirst ? [1, rows] : [rows, 1];
  if (!kind.isOneHot) return { [info.name]: integerTensor(info, tokens, info.dims.length === 1 ? [rows] : sizes) };
  const depth = depthOf(file, info, kind.vocabSize);
  const dims = info.dims.length === 2 ? [rows, depth] : [...sizes, depth];
  return { [info.name]: integerTensor(info, oneHot(tokens, depth), dims) };
}

function depthOf(file: string, info: TensorInfo, vocabSize: number): number {
  const depth = info.dims.at(-1);
  const size = typeof depth === "number" ? depth : vocabSize;
  if (size > 0) return size;
  throw new Error(`${file}: decoder.inputs.onehot "${info.name}": expected a last axis of known size, found ${depth}`);
}
