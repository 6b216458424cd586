// Taking over a generation that another worker began: its ids become part of the prefix, and nothing else changes.
import type { Decoding } from "../../../generation.js";

/**
 * Options under which a search that starts after `ids` chooses what the first search would have chosen next. `ids` are those
 * chosen so far, without the prefix and without an end. Draws agree because they are keyed by position. For one output without
 * beams; reported means are then over the rest alone. Other searches are repeated from the start, which gives the same.
 */
export function continuedDecoding(decoding: Decoding, ids: readonly number[]): Decoding {
  if (ids.length === 0) return decoding;
  const { prefix, exponentialDecayLengthPenalty: decay } = decoding;
  const isAtBegin = ids.length === 1 && prefix.length === 1 && decoding.forcedBosTokenId !== null;
  return {
    ...decoding,
    prefix: [...prefix, ...ids],
    minNewTokens: Math.max(0, decoding.minNewTokens - ids.length),
    beginSuppressTokens: isAtBegin ? decoding.beginSuppressTokens : [],
    exponentialDecayLengthPenalty: decay === null ? null : [decay[0] - ids.length, decay[1]],
  };
}
