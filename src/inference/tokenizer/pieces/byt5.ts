// ByT5: UTF-8 bytes, each its value + 3. No vocabulary file. Source: ByT5Tokenizer of transformers 4.57.
import { PieceTokenizer, type RawPiece } from "./piece-tokenizer.js";
import { ByteRun } from "../sentencepiece/byte-run.js";
import type { Stage } from "../text-stages.js";
import type { TokenizerFiles } from "../tokenizer-files.js";

const offset = 3;

export function byt5Tokenizer(files: TokenizerFiles): PieceTokenizer {
  const { roles } = files;
  const first = ["pad_token", "eos_token", "unk_token"].map((role) => roles.get(role));
  const bytes = Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(byte));
  return new PieceTokenizer({
    kind: "bytes (ByT5)",
    files,
    pieces: [...first, ...bytes],
    unknown: null,
    vocabularySize: bytes.length,
    split: bytePieces,
    openRun: () => [byteText()],
    // An end that the text brings along is not doubled.
    around: (ids) => ({ before: [], after: ids.at(-1) === 1 ? [] : [1] }),
    languages: new Map(),
  });
}

function bytePieces(text: string): RawPiece[] {
  let at = 0;
  return Array.from(text, (character) => {
    const start = at;
    at += character.length;
    const bytes = Buffer.from(character, "utf8");
    return Array.from(bytes, (byte): RawPiece => ({
      text: String.fromCodePoint(byte),
      id: byte + offset,
      start,
      stop: at,
    }));
  }).flat();
}

/** Bytes to text; what is not UTF-8 is left out (Python's errors="ignore"). Longer tokens are added ones, written as they stand. */
function byteText(): Stage {
  const run = new ByteRun("");
  return {
    push: (token) => {
      const byte = token.length === 1 ? token.charCodeAt(0) : 0x100;
      return [byte < 0x100 ? run.push(byte) : run.flush() + token];
    },
    flush: () => [run.flush()],
  };
}
