// Text to symbols for vocabulary lists: characters, code points, words. Keeps UTF-16 offsets into the input, through lower-casing too.

export type Split = "characters" | "codepoints" | "whitespace" | "words";

export interface TextSymbol {
  readonly text: string;
  /** UTF-16 offsets into the input. */
  readonly start: number;
  readonly stop: number;
}

const patterns = {
  codepoints: /[^]/gu,
  whitespace: /\S+/gu,
  // Python's \w+|[^\w\s]: words, and each sign on its own.
  words: /[\p{L}\p{N}_]+|[^\p{L}\p{N}_\s]/gu,
} as const;

const usualWindow = 256;
const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });

/** Characters are graphemes as users see them ("👍🏽" is one); code points are what Python's list(text) gives. */
export function splitText(input: string, split: Split, lowercase: boolean): TextSymbol[] {
  const text = lowercase ? input.toLowerCase() : input;
  const symbols = split === "characters" ? graphemesOf(text) : matchesOf(text, patterns[split]);
  if (text.length === input.length) return symbols;
  const origin = lowercaseOrigins(input);
  return symbols.map(({ text: symbol, start, stop }) => ({
    text: symbol,
    start: origin[start] ?? start,
    stop: origin[stop] ?? stop,
  }));
}

// V8 copies the whole text for each segment it returns: long texts are segmented a window at a time. A boundary depends on nothing behind the
// character after it, and on nothing before the boundary before it; so all of a window's segments are right, except the last one, which may be longer.
function graphemesOf(text: string): TextSymbol[] {
  const symbols: TextSymbol[] = [];
  let width = usualWindow;
  for (let from = 0; from < text.length;) {
    const to = windowEnd(text, from + width);
    const found = Array.from(graphemes.segment(text.slice(from, to)), ({ segment }) => segment);
    const whole = to === text.length ? found : found.slice(0, -1);
    for (const segment of whole) {
      symbols.push({ text: segment, start: from, stop: from + segment.length });
      from += segment.length;
    }
    width = whole.length === 0 ? width * 2 : usualWindow;
  }
  return symbols;
}

// Never between the halves of a pair: the first half alone is another character.
function windowEnd(text: string, wanted: number): number {
  const isCut = /[\uD800-\uDBFF]/u.test(text.charAt(wanted - 1));
  return Math.min(isCut ? wanted + 1 : wanted, text.length);
}

function matchesOf(text: string, pattern: RegExp): TextSymbol[] {
  return Array.from(text.matchAll(pattern), ({ 0: match, index }) => ({
    text: match,
    start: index,
    stop: index + match.length,
  }));
}

// "İ" becomes two characters: for each offset of the lower-case text, where it comes from.
function lowercaseOrigins(input: string): number[] {
  const origins: number[] = [];
  let at = 0;
  for (const character of input) {
    for (let unit = 0; unit < character.toLowerCase().length; unit++)
      origins.push(unit === 0 ? at : at + character.length);
    at += character.length;
  }
  return [...origins, at];
}
