// Cuts a text into sentences and keeps the white space between them, for texts that are longer than a model takes. Pure.

export interface Sentence {
  /** White space between the sentence before and this one; "" before the first. */
  readonly before: string;
  readonly text: string;
}

const segmenter = new Intl.Segmenter("en", { granularity: "sentence" });

// Unicode's rules end a sentence at every full stop before a capital: "Dr. Doe", "J. Doe". Two sentences in one are no harm, half a one is.
const notTheEnd =
  /(?:^|\s)(?:\p{Lu}|Mr|Mrs|Ms|Mx|Dr|Prof|St|Sen|Gen|Capt|Nr|vs|cf|e\.g|i\.e|z\.B|bzw|Mme|Sr|Sra|Sig)\.[ \u00A0]+$/u;

/** Sentences in order. White space around the whole text is dropped, as a model drops it. */
export function sentencesOf(text: string): Sentence[] {
  const sentences: Sentence[] = [];
  let before = "";
  let open = "";
  for (const { segment } of segmenter.segment(text)) {
    open += segment;
    if (notTheEnd.test(open)) continue;
    before = take(open, before, sentences);
    open = "";
  }
  take(open, before, sentences);
  return sentences;
}

// Gives back the white space that stands before the next sentence.
function take(segment: string, before: string, sentences: Sentence[]): string {
  const text = segment.trim();
  if (text === "") return before + segment;
  const start = segment.indexOf(text);
  const gap = before + segment.slice(0, start);
  sentences.push({ before: sentences.length === 0 ? "" : gap, text });
  return segment.slice(start + text.length);
}
