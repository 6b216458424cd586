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
    for (let at = index; at < this.#stages.length; at++) {
      const stage = this.#stages[at];
      if (stage !== undefined) current = throughStage(stage, current);
    }
    return current;
  }
}

function throughStage(stage: Stage, pieces: readonly string[]): readonly string[] {
  const [first] = pieces;
  if (first !== undefined && pieces.length === 1) return stage.push(first);
  const found: string[] = [];
  for (const piece of pieces) found.push(...stage.push(piece));
  return found;
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
      const { done, rest } = replaceComplete(held + piece, pattern, replacement);
      held = rest;
      return [done];
    },
    flush() {
      const rest = held;
      held = "";
      return [rest];
    },
  };
}

interface Replaced {
  readonly done: string;
  /** The end that may be the beginning of the pattern. */
  readonly rest: string;
}

function replaceComplete(text: string, pattern: string, replacement: string): Replaced {
  const parts = text.includes(pattern) ? text.split(pattern) : [text];
  const tail = parts.pop() ?? "";
  const safe = tail.length - beginningAtEnd(tail, pattern);
  parts.push(tail.slice(0, safe));
  return { done: parts.join(replacement), rest: tail.slice(safe) };
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

const cleanUps = [" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're"];

/** transformers' PreTrainedTokenizerBase.clean_up_tokenization: ten replacements over the whole text, in its order. */
export function cleaningUp(): Stage {
  const held = cleanUps.map(() => "");
  const through = (piece: string, from: number): string => {
    let text = piece;
    for (let index = from; index < cleanUps.length && text !== ""; index++) {
      const pattern = cleanUps[index] ?? "";
      const { done, rest } = replaceComplete((held[index] ?? "") + text, pattern, pattern.trim());
      held[index] = rest;
      text = done;
    }
    return text;
  };
  let isHolding = false;
  return {
    push(piece) {
      // All patterns begin with a space.
      if (!isHolding && !piece.includes(" ")) return [piece];
      const text = through(piece, 0);
      isHolding = held.some((rest) => rest !== "");
      return [text];
    },
    flush() {
      isHolding = false;
      return held.map((rest, index) => {
        held[index] = "";
        return through(rest, index + 1);
      });
    },
  };
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
const pythonSpaces: ReadonlySet<string> = new Set(
  "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000",
);

/** Python's str.lstrip(). */
export function stripLeft(text: string): string {
  let start = 0;
  while (pythonSpaces.has(text.charAt(start))) start++;
  return text.slice(start);
}

/** Python's str.rstrip(). */
export function stripRight(text: string): string {
  let end = text.length;
  while (pythonSpaces.has(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}

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
