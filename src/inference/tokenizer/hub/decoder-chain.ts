// The `decoder` of a tokenizer.json as a pipeline of stages, token by token. Each stage follows tokenizers/src/decoders/*.rs of huggingface/tokenizers 0.23.
import { eachPiece, leading, replacing, stripping, trailing, Utf8Stream, type Stage } from "../text-stages.js";

type Json = Readonly<Record<string, unknown>>;

/** What a decoder spec says, read once per tokenizer; `open` makes fresh stages for one output. */
export interface DecoderChain {
  open(): Stage[];
}

/** Stages of the spec, or null where a decoder can only work on whole outputs (or is not known here). */
export function readDecoderChain(spec: Json | null): DecoderChain | null {
  if (spec === null) return { open: () => [eachPiece((token, index) => (index === 0 ? token : ` ${token}`))] };
  const makers = makersOf(flatten(spec));
  return makers === null ? null : { open: () => makers.map((make) => make()) };
}

type Maker = () => Stage;

function flatten(spec: Json): Json[] {
  return spec["type"] === "Sequence" ? (spec["decoders"] as Json[]).flatMap((inner) => flatten(inner)) : [spec];
}

// Fuse and ByteLevel make one token of all: what follows them sees the whole text.
function makersOf(specs: readonly Json[]): Maker[] | null {
  const makers: Maker[] = [];
  let isWhole = false;
  for (const spec of specs) {
    const type = String(spec["type"]);
    if (type === "Fuse") isWhole = true;
    const maker = (isWhole ? onText : onTokens)[type]?.(spec) ?? null;
    if (maker === null) return null;
    makers.push(maker);
    if (type === "ByteLevel") isWhole = true;
  }
  return makers;
}

const onTokens: Readonly<Record<string, (spec: Json) => Maker | null>> = {
  ByteLevel: () => byteLevel,
  ByteFallback: () => byteFallback,
  Metaspace: (spec) => () => eachPiece(metaspaceRule(spec)),
  WordPiece: (spec) => () => eachPiece(wordPieceRule(String(spec["prefix"]), spec["cleanup"] === true)),
  BPEDecoder: (spec) => () => wordEnds(String(spec["suffix"])),
  Replace: (spec) => {
    const replace = replaceRule(spec);
    return replace === null ? null : () => eachPiece(replace);
  },
  Strip: (spec) => () => eachPiece(stripRule(String(spec["content"]), Number(spec["start"]), Number(spec["stop"]))),
};

const onText: Readonly<Record<string, (spec: Json) => Maker | null>> = {
  Fuse: () => () => eachPiece((text) => text),
  Strip: (spec) => () => stripping(String(spec["content"]), Number(spec["start"]), Number(spec["stop"])),
  Replace: (spec) => {
    const pattern = (spec["pattern"] as Json)["String"];
    return typeof pattern === "string" ? () => replacing(pattern, String(spec["content"])) : null;
  },
};

/** The marker becomes a space; before the first token it stands for nothing, unless the scheme is "never". */
export function metaspaceRule(spec: Json): (token: string, index: number) => string {
  const marker = String(spec["replacement"]);
  const keepsFirst = spec["prepend_scheme"] === "never" || spec["add_prefix_space"] === false;
  return (token, index) => token.replaceAll(marker, index === 0 && !keepsFirst ? "" : " ");
}

function wordPieceRule(prefix: string, cleanup: boolean): (token: string, index: number) => string {
  return (token, index) => {
    const spaced = index === 0 ? token : token.startsWith(prefix) ? token.slice(prefix.length) : ` ${token}`;
    return cleanup ? cleanedWord(spaced) : spaced;
  };
}

// wordpiece.rs cleanup(): more contractions than transformers' own clean-up, each token alone.
function cleanedWord(token: string): string {
  const plain = [" .", " ?", " !", " ,"].reduce((text, mark) => text.replaceAll(mark, mark.trim()), token);
  const contractions = [" ' ", " n't", " 'm"].reduce((text, part) => text.replaceAll(part, part.trim()), plain);
  return [" 's", " 've", " 're"].reduce(
    (text, part) => text.replaceAll(part, part.trim()),
    contractions.replaceAll(" do not", " don't"),
  );
}

function replaceRule(spec: Json): ((token: string) => string) | null {
  const { String: literal, Regex: source } = spec["pattern"] as { String?: string; Regex?: string };
  const content = String(spec["content"]);
  if (literal !== undefined) return (token) => token.replaceAll(literal, () => content);
  try {
    const pattern = new RegExp(source ?? "", "gu");
    return (token) => token.replaceAll(pattern, () => content);
  } catch {
    return null;
  }
}

function stripRule(content: string, start: number, stop: number): (token: string) => string {
  return (token) => {
    const from = Math.min(start, leading(token, content)) * content.length;
    const to = token.length - Math.min(stop, trailing(token, content)) * content.length;
    return token.slice(from, Math.max(from, to));
  };
}

/** The suffix ends a word: a space, but nothing behind the last token. Holds back one token. */
function wordEnds(suffix: string): Stage {
  let held: string | null = null;
  const release = (replacement: string) => (held === null ? [] : [held.replaceAll(suffix, replacement)]);
  return {
    push(token) {
      const done = release(" ");
      held = token;
      return done;
    },
    flush: () => release(""),
  };
}

const bytePattern = /^<0x([0-9A-Fa-f]{2})>$/u;

/** A run of byte tokens is text if the whole run is valid UTF-8, else one U+FFFD a byte: so a run is held back to its end. */
function byteFallback(): Stage {
  let run: number[] = [];
  const release = (): string[] => {
    if (run.length === 0) return [];
    const bytes = Uint8Array.from(run);
    run = [];
    try {
      return [new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes)];
    } catch {
      return Array.from(bytes, () => "\uFFFD");
    }
  };
  return {
    push(token) {
      const hex = bytePattern.exec(token)?.[1];
      if (hex === undefined) return [...release(), token];
      run.push(Number.parseInt(hex, 16));
      return [];
    },
    flush: release,
  };
}

/** Characters of GPT-2's alphabet stand for bytes; a token with any other character stands for itself. */
function byteLevel(): Stage {
  const utf8 = new Utf8Stream();
  return { push: (token) => [utf8.push(bytesOf(token))], flush: () => [utf8.flush()] };
}

function bytesOf(token: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of token) {
    const byte = byteByCharacter.get(character);
    if (byte === undefined) return Buffer.from(token, "utf8");
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

const byteByCharacter: ReadonlyMap<string, number> = new Map(
  byteAlphabet().map((character, byte) => [character, byte]),
);

/** GPT-2's bytes_to_unicode: printable Latin-1 stands for itself, the other bytes for U+0100 and up, in order. */
function byteAlphabet(): string[] {
  let next = 0x100;
  const isPrintable = (byte: number) => (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  return Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(isPrintable(byte) ? byte : next++));
}
