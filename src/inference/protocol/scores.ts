// How a finished sequence is scored: the two sums that both threads must agree on.

/** transformers' beam score: sum / length^penalty, in float32, over tokens after the decoder prefix. */
export function penalisedScore(sum: number, length: number, lengthPenalty: number): number {
  return Math.fround(sum / Math.fround(length ** lengthPenalty));
}

/** Mean log-probability of the tokens; null when any is unknown or there are none. */
export function meanLogprob(tokens: readonly { readonly logprob?: number }[]): number | null {
  let sum = 0;
  for (const { logprob } of tokens) {
    if (logprob === undefined) return null;
    sum += logprob;
  }
  return tokens.length === 0 ? null : sum / tokens.length;
}
