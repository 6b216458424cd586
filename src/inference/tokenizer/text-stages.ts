// Building blocks of detokenisation: small stages that get pieces one by one and hand on what is certain. Every detokenizer is a pipeline of them.

/** All outputs (of push … push, flush) joined are what the whole rule gives for the whole input. */
export interface Stage {
  push(piece: string): readonly string[];
  flush(): readonly string[];
}

/** Stages in a row; joined output. */
export class Pipeline {
  readonly #stages: readonly Stage[];

  constructor(stages: readonly Stage[]) {
    this.#stages = stages;
  }

  push(piece: string): string {
    return this.#from(0, [piece]).join("");
  }

  flush(): string {
    return this.#stages.map((stage, index) => this.#from(index + 1, stage.flush()).join("")).join("");
  }

  #from(index: number, pieces: readonly string[]): readonly string[] {
    let current = pieces;
    for (const stage of this.#stages.slice(index)) current = current.flatMap((piece) => stage.push(piece));
    return current;
  }
}

/** A rule for each piece alone; `index` counts pieces from 0. */
export function eachPiece(rule: (piece: string, index: number) => string): Stage {
  let index = 0;
  return { push: (piece) => [rule(piece, index++)], flush: () => [] };
}

/** text.replaceAll(pattern, replacement) over the whole text: holds back what may be the beginning of the pattern. */
export function replacing(pattern: string, replacement: string): Stage {
  let held = "";
  return {
    push(piece) {
      const parts = (held + piece).split(pattern);
      const rest = parts.pop() ?? "";
      const kept = beginningAtEnd(rest, pattern);
      held = rest.slice(rest.length - kept);
      const done = [...parts, rest.slice(0, rest.length - kept)].join(replacement);
      return done === "" ? [] : [done];
    },
    flush() {
      const rest = held;
      held = "";
      return [rest];
    },
  };
}

/** How many characters at the end of the text are a proper beginning of the pattern. */
function beginningAtEnd(text: string, pattern: string): number {
  for (let length = Math.min(pattern.length - 1, text.length); length > 0; length--) {
    if (text.endsWith(pattern.slice(0, length))) return length;
  }
  return 0;
}

/** Cuts up to `start` of one character from the beginning of the whole text and up to `stop` from its end. */
export function stripping(content: string, start: number, stop: number): Stage {
  let left = start;
  let held = "";
  return {
    push(piece) {
      const cut = Math.min(left, leading(piece, content));
      left = cut * content.length < piece.length ? 0 : left - cut;
      const text = held + piece.slice(cut * content.length);
      const kept = Math.min(stop, trailing(text, content)) * content.length;
      held = text.slice(text.length - kept);
      return [text.slice(0, text.length - kept)];
    },
    flush() {
      held = "";
      return [];
    },
  };
}

/** How often the text begins with the content, one after the other. */
export function leading(text: string, content: string): number {
  let at = 0;
  while (text.startsWith(content, at)) at += content.length;
  return at / content.length;
}

export function trailing(text: string, content: string): number {
  let end = text.length;
  while (text.endsWith(content, end)) end -= content.length;
  return (text.length - end) / content.length;
}

/** transformers' PreTrainedTokenizerBase.clean_up_tokenization: its ten replacements, in its order. */
export function cleanUpStages(): Stage[] {
  const pairs = [" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're"];
  return pairs.map((pattern) => replacing(pattern, pattern.trim()));
}

/** Bytes to whole characters, invalid ones as U+FFFD (WHATWG, as Rust's from_utf8_lossy and Python's errors="replace"). */
export class Utf8Stream {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  push(bytes: Uint8Array): string {
    return this.#decoder.decode(bytes, { stream: true });
  }

  flush(): string {
    return this.#decoder.decode();
  }
}

// Python's str.isspace; JavaScript's \s lacks U+001C to U+001F and U+0085 and has U+FEFF.
const pythonSpaces = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const spacesBefore = new RegExp(`^[${pythonSpaces}]+`, "u");
const spacesBehind = new RegExp(`[${pythonSpaces}]+$`, "u");

/** Python's str.lstrip() and str.rstrip(). */
export const stripLeft = (text: string): string => text.replace(spacesBefore, "");
export const stripRight = (text: string): string => text.replace(spacesBehind, "");

/** Python's str.strip() over the whole text: white space is held back until text follows it. */
export function strippingSpaces(): Stage {
  let held = "";
  let hasText = false;
  return {
    push(piece) {
      const text = hasText ? held + piece : stripLeft(piece);
      const kept = stripRight(text);
      hasText ||= kept !== "";
      held = text.slice(kept.length);
      return [kept];
    },
    flush() {
      held = "";
      return [];
    },
  };
}
