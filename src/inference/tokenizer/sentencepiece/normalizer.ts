// Text to the normalised form that pieces are written in, with offsets back into the input. Source: google/sentencepiece 0.2, src/normalizer.cc (Normalize).
import { trailing } from "../text-stages.js";
import { Charsmap } from "./charsmap.js";
import type { NormalizerSpec } from "./model-file.js";
import type { PrefixMatcher } from "./prefixes.js";

export const spaceMark = "\u2581";

export interface Normalized {
  readonly text: string;
  /** For each UTF-16 unit of `text`, and one behind the end: the UTF-16 offset in the input. */
  readonly origins: readonly number[];
}

/** A run of input and what it becomes. */
interface Step {
  readonly text: string;
  readonly start: number;
  readonly stop: number;
}

export class Normalizer {
  readonly #spec: NormalizerSpec;
  readonly #charsmap: Charsmap | null;
  readonly #userDefined: PrefixMatcher;
  readonly #whitespaceAsSuffix: boolean;

  constructor(spec: NormalizerSpec, userDefined: PrefixMatcher, whitespaceAsSuffix: boolean) {
    this.#spec = spec;
    this.#charsmap = spec.charsmap.length === 0 ? null : new Charsmap(spec.charsmap);
    this.#userDefined = userDefined;
    this.#whitespaceAsSuffix = whitespaceAsSuffix;
  }

  normalize(input: string): Normalized {
    const { addDummyPrefix, removeExtraWhitespaces } = this.#spec;
    const steps = this.#steps(input);
    const first = removeExtraWhitespaces ? steps.findIndex(({ text }) => text !== " ") : 0;
    const kept = first < 0 ? [] : steps.slice(first);
    const [head] = kept;
    if (head === undefined) return { text: "", origins: [0] };
    const dummy = { text: " ", start: head.start, stop: head.start };
    const before = addDummyPrefix && !this.#whitespaceAsSuffix ? [dummy] : [];
    return this.#joined(before.concat(removeExtraWhitespaces ? withoutDoubledSpaces(kept) : kept), input.length);
  }

  #joined(parts: readonly Step[], inputLength: number): Normalized {
    const { addDummyPrefix, escapeWhitespaces, removeExtraWhitespaces } = this.#spec;
    const space = escapeWhitespaces ? spaceMark : " ";
    let text = "";
    const origins: number[] = [];
    for (const part of parts) {
      text += escapeWhitespaces ? part.text.replaceAll(" ", spaceMark) : part.text;
      while (origins.length < text.length) origins.push(part.start);
    }
    const kept = removeExtraWhitespaces ? text.length - trailing(text, space) : text.length;
    const end = origins[kept] ?? inputLength;
    text = text.slice(0, kept);
    origins.length = kept;
    if (addDummyPrefix && this.#whitespaceAsSuffix) {
      text += space;
      origins.push(end);
    }
    return { text, origins: [...origins, end] };
  }

  // User-defined pieces stand as they are; the charsmap's longest rule comes before single characters.
  #steps(input: string): Step[] {
    // Lone surrogates become U+FFFD.
    const bytes = Buffer.from(input, "utf8");
    const text = bytes.toString("utf8");
    const steps: Step[] = [];
    let byte = 0;
    for (let at = 0; at < text.length;) {
      const own = this.#userDefined.longestAt(text, at);
      const rule = own === null ? (this.#charsmap?.longest(bytes, byte) ?? null) : null;
      const step =
        rule === null ? stepOf(own ?? characterAt(text, at), at) : ruleStep(text, at, rule.text, rule.length);
      steps.push(step);
      byte += rule === null ? byteLengthOf(text, step.start, step.stop) : rule.length;
      at = step.stop;
    }
    return steps;
  }
}

function stepOf(text: string, start: number): Step {
  return { text, start, stop: start + text.length };
}

function characterAt(text: string, at: number): string {
  return String.fromCodePoint(text.codePointAt(at) ?? 0);
}

function ruleStep(text: string, start: number, replacement: string, byteLength: number): Step {
  let stop = start;
  for (let left = byteLength; left > 0;) {
    const width = characterAt(text, stop).length;
    left -= byteLengthOf(text, stop, stop + width);
    stop += width;
  }
  return { text: replacement, start, stop };
}

/** UTF-8 bytes of a part of a well-formed text. */
function byteLengthOf(text: string, start: number, stop: number): number {
  let length = 0;
  for (let at = start; at < stop; at++) {
    const unit = text.charCodeAt(at);
    const isSurrogate = unit >= 0xd800 && unit < 0xe000;
    length += unit < 0x80 ? 1 : unit < 0x800 || isSurrogate ? 2 : 3;
  }
  return length;
}

function withoutDoubledSpaces(steps: readonly Step[]): Step[] {
  let isPreviousSpace = true;
  return steps.map((step) => {
    const text = isPreviousSpace ? step.text.replace(/^ +/u, "") : step.text;
    if (text !== "") isPreviousSpace = text.endsWith(" ");
    return { ...step, text };
  });
}
