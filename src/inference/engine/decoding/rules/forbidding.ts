// Processors that only forbid: n-grams, bad words, minimum lengths, suppressed ids. Forbidding is a score of minus infinity.
import type { Candidates } from "./candidates.js";
import type { Processor } from "./processor.js";

type Banned = (ids: readonly number[]) => readonly number[];

const none: readonly number[] = [];

function forbiddingProcessor(banned: Banned): Processor {
  return {
    reach: (ids) => banned(ids).length,
    apply: (candidates: Candidates, ids) => banned(ids).forEach((id) => candidates.forbid(id)),
  };
}

/** transformers' NoRepeatNGramLogitsProcessor: no n-gram of decoder ids comes twice. */
export function noRepeatNgram(size: number): Processor {
  return forbiddingProcessor((ids) => followersOfTail(ids, ids, size));
}

/** transformers' EncoderNoRepeatNGramLogitsProcessor: no n-gram of the source comes in the target. */
export function encoderNoRepeatNgram(size: number, sourceIds: readonly number[]): Processor {
  return forbiddingProcessor((ids) => followersOfTail(ids, sourceIds, size));
}

/** What follows, anywhere in `text`, the last size - 1 ids of `ids`. */
function followersOfTail(ids: readonly number[], text: readonly number[], size: number): readonly number[] {
  const tail = size - 1;
  if (ids.length < tail) return none;
  const found: number[] = [];
  for (let end = tail; end < text.length; end += 1) {
    if (endsAlike(ids, ids.length, text, end, tail)) found.push(text[end] ?? 0);
  }
  return found;
}

/** Whether a[aEnd - count … aEnd) equals b[bEnd - count … bEnd). */
export function endsAlike(
  a: readonly number[],
  aEnd: number,
  b: readonly number[],
  bEnd: number,
  count: number,
): boolean {
  for (let back = 1; back <= count; back += 1) {
    if (a[aEnd - back] !== b[bEnd - back]) return false;
  }
  return true;
}

/**
 * Whether the next id can complete `sequence`. As transformers' SequenceBiasLogitsProcessor has it, a sequence of several
 * ids is looked at only once there are as many decoder ids as it is long.
 */
export function canComplete(sequence: readonly number[], ids: readonly number[]): boolean {
  if (sequence.length === 1) return true;
  if (sequence.length > ids.length) return false;
  return endsAlike(ids, ids.length, sequence, sequence.length - 1, sequence.length - 1);
}

/** transformers' NoBadWordsLogitsProcessor; an entry that is just an EOS id is dropped, as there. */
export function badWords(words: readonly (readonly number[])[], eosTokenIds: readonly number[]): Processor {
  const kept = words.filter((word) => word.length > 0 && !(word.length === 1 && eosTokenIds.includes(word[0] ?? -1)));
  const single = kept.filter((word) => word.length === 1).map((word) => word[0] ?? 0);
  const several = kept.filter((word) => word.length > 1);
  if (several.length === 0) return forbiddingProcessor(() => single);
  return forbiddingProcessor((ids) => [
    ...single,
    ...several.filter((word) => canComplete(word, ids)).map((word) => word.at(-1) ?? 0),
  ]);
}

/** transformers' MinLengthLogitsProcessor and MinNewTokensLengthLogitsProcessor: no EOS below `length` decoder ids. */
export function minLength(length: number, eosTokenIds: readonly number[]): Processor {
  return forbiddingProcessor((ids) => (ids.length < length ? eosTokenIds : none));
}

/** transformers' SuppressTokensLogitsProcessor. */
export function suppress(tokenIds: readonly number[]): Processor {
  return forbiddingProcessor(() => tokenIds);
}

/** transformers' SuppressTokensAtBeginLogitsProcessor; `beginLength` counts decoder ids. */
export function suppressAtBegin(tokenIds: readonly number[], beginLength: number): Processor {
  return forbiddingProcessor((ids) => (ids.length === beginLength ? tokenIds : none));
}
