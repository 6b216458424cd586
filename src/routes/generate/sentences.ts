// Cuts a text into sentences and keeps the white space between them, for texts that are longer than a model takes. Pure.
import type { EndEvent, GenerationEvent, OutputToken, TokenEvent } from "../../generation.js";
import { merge } from "./merge.js";

export interface Sentence {
  /** White space between the sentence before and this one; "" before the first. */
  readonly before: string;
  readonly text: string;
}

const segmenter = new Intl.Segmenter("en", { granularity: "sentence" });

// Unicode's rules end a sentence at every full stop before a capital: "Dr. Doe", "J. Doe". Two sentences in one are no harm, half a one is.
const abbreviation =
  /(?:^|\s)(?:\p{Lu}|Mr|Mrs|Ms|Mx|Dr|Prof|St|Sen|Gen|Capt|Nr|vs|cf|e\.g|i\.e|z\.B|bzw|Mme|Sr|Sra|Sig)\.[ \u00A0]+$/u;

/** Sentences in order. White space around the whole text is dropped, as a model drops it. */
export function splitSentences(text: string): Sentence[] {
  const sentences: Sentence[] = [];
  let before = "";
  let open = "";
  for (const { segment } of segmenter.segment(text)) {
    open += segment;
    if (abbreviation.test(open)) continue;
    before = addSentence(open, before, sentences);
    open = "";
  }
  addSentence(open, before, sentences);
  return sentences;
}

// Gives back the white space that stands before the next sentence.
function addSentence(segment: string, before: string, sentences: Sentence[]): string {
  const text = segment.trim();
  if (text === "") return before + segment;
  const start = segment.indexOf(text);
  const gap = before + segment.slice(0, start);
  sentences.push({ before: sentences.length === 0 ? "" : gap, text });
  return segment.slice(start + text.length);
}

// Sentences of one text, decoded as rows of one batch, become one generation again: events in the order of the text, whatever row ends first.
//
//   sentence 1 ──▶ passed on as they come ─────┐
//   sentence 2 ──▶ held until 1 has ended ─────┼──▶ one row of token events, one end
//   sentence 3 ──▶ held until 2 has ended ─────┘

type Rows = readonly AsyncIterator<GenerationEvent>[];

/** `gaps` has what stands before each sentence. Closing it closes all rows, read or not. */
export function joinSentences(rows: Rows, gaps: readonly string[]): AsyncIterator<GenerationEvent> {
  const events = eventsInOrder(rows, new SentenceJoiner(gaps));
  return {
    next: () => events.next(),
    return: async () => {
      await Promise.allSettled(rows.map((row) => row.return?.()));
      return { done: true, value: undefined };
    },
  };
}

async function* eventsInOrder(rows: Rows, joint: SentenceJoiner): AsyncGenerator<GenerationEvent, void, void> {
  const held: GenerationEvent[][] = rows.map(() => []);
  let current = 0;
  for await (const { input, event } of merge(rows)) {
    held[input]?.push(event);
    for (let queue = held[current]; queue !== undefined && queue.length > 0; queue = held[current]) {
      const next = queue.shift();
      if (next?.type === "token") yield joint.token(next);
      if (next?.type === "end") {
        joint.end(next);
        current += 1;
      }
    }
  }
  yield joint.whole();
}

/** What has been passed on so far, as one output. */
class SentenceJoiner {
  readonly #gaps: readonly string[];
  readonly #ends: EndEvent[] = [];
  /** White space that the next token begins with. */
  #gap = "";
  #seq = 0;
  #text = "";

  constructor(gaps: readonly string[]) {
    this.#gaps = gaps;
  }

  token(event: TokenEvent): TokenEvent {
    const text = this.#gap + event.text;
    this.#gap = "";
    this.#seq += 1;
    this.#text += text;
    return { ...withoutAttention(event), seq: this.#seq, text };
  }

  end(event: EndEvent): void {
    this.#ends.push(event);
    this.#gap += this.#gaps[this.#ends.length] ?? "";
  }

  whole(): EndEvent {
    const ends = this.#ends;
    const outputs = ends.flatMap((end) => end.outputs.slice(0, 1));
    const sum = (count: (end: EndEvent) => number) => ends.reduce((total, end) => total + count(end), 0);
    // They ran side by side: the slowest tells how long it took.
    const most = (time: (end: EndEvent) => number) => Math.max(...ends.map(time));
    return {
      type: "end",
      outputs: [
        {
          text: this.#text,
          ids: outputs.flatMap(({ ids }) => ids),
          score: null,
          finishReason: outputs.find(({ finishReason }) => finishReason !== "eos_token")?.finishReason ?? "eos_token",
          tokens: outputs.flatMap(({ tokens }, i) => withGap(tokens, this.#gaps[i] ?? "")),
        },
      ],
      usage: {
        sourceTokens: sum(({ usage }) => usage.sourceTokens),
        generatedTokens: sum(({ usage }) => usage.generatedTokens),
      },
      timings: {
        queueMs: most(({ timings }) => timings.queueMs),
        encodeMs: most(({ timings }) => timings.encodeMs),
        decodeMs: most(({ timings }) => timings.decodeMs),
        totalMs: most(({ timings }) => timings.totalMs),
      },
    };
  }
}

function withGap([first, ...others]: readonly OutputToken[], gap: string): OutputToken[] {
  return first === undefined ? [] : [{ ...first, text: gap + first.text }, ...others].map(withoutAttention);
}

// Its weights are over one sentence: beside the whole text they would point to wrong words.
function withoutAttention<T extends OutputToken>(token: T): T {
  const copy = { ...token };
  delete (copy as { attention?: unknown }).attention;
  return copy;
}
