// Hypotheses of a beam search as a tree of back-pointers: a token, and with it its attention and log-probability, is kept once
// however many hypotheses share it.
//
//   root ◀─ "the" ◀─ "cat" ◀─ "sat"      a hypothesis is its last node; its tokens are the path to the root
//                 ◀─ "dog"
import type { EngineToken } from "../../../protocol/engine-protocol.js";

export interface Hypothesis {
  readonly parent: Hypothesis | null;
  /** Null at the root, where only the decoder prefix is. */
  readonly token: EngineToken | null;
  /** Tokens after the decoder prefix. */
  readonly length: number;
  /** Sum of processed log-probabilities, float32. */
  readonly sum: number;
}

export function rootHypothesis(): Hypothesis {
  return { parent: null, token: null, length: 0, sum: 0 };
}

export function extend(parent: Hypothesis, token: EngineToken, sum: number): Hypothesis {
  return { parent, token, length: parent.length + 1, sum };
}

/** Tokens of a hypothesis after `from`, which is on its path; all of them without. */
export function tokensAfter(hypothesis: Hypothesis, from: Hypothesis | null = null): EngineToken[] {
  const tokens: EngineToken[] = [];
  for (let node: Hypothesis | null = hypothesis; node !== null && node !== from; node = node.parent) {
    if (node.token !== null) tokens.push(node.token);
  }
  return tokens.reverse();
}

/** The sums of its tokens' prefixes, one a token. */
export function sumsOf(hypothesis: Hypothesis): number[] {
  const sums: number[] = [];
  for (let node: Hypothesis | null = hypothesis; node?.token; node = node.parent) sums.push(node.sum);
  return sums.reverse();
}

/** The longest prefix that all share. All of one root; `first` is there so that there is at least one. */
export function commonAncestor(first: Hypothesis, others: readonly Hypothesis[]): Hypothesis {
  return others.reduce(sharedPrefix, first);
}

function sharedPrefix(a: Hypothesis, b: Hypothesis): Hypothesis {
  let [longer, shorter] = a.length >= b.length ? [a, b] : [b, a];
  while (longer !== shorter) {
    const up: Hypothesis = longer.parent ?? longer;
    [longer, shorter] = up.length >= shorter.length ? [up, shorter] : [shorter, up];
  }
  return longer;
}

export function descendsFrom(hypothesis: Hypothesis, ancestor: Hypothesis): boolean {
  return sharedPrefix(hypothesis, ancestor) === ancestor;
}
