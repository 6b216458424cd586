// Cuts a text at added tokens ("</s>", "<extra_id_0>") before it is tokenised. As PreTrainedTokenizer.tokenize of transformers 4.57 does (tokens_trie, lstrip, rstrip).
import { stripLeft, stripRight } from "../text-stages.js";
import type { AddedTokenSpec } from "../tokenizer-files.js";

export interface Chunk {
  readonly text: string;
  /** UTF-16 offset into the input. */
  readonly start: number;
  readonly added: AddedTokenSpec | null;
}

/** Splits texts at the leftmost, longest added tokens. */
export function addedTokenSplitter(tokens: readonly AddedTokenSpec[]): (text: string) => Chunk[] {
  const contents = tokens.map((token) => token.content).filter((content) => content !== "");
  if (contents.length === 0) return (text) => (text === "" ? [] : [{ text, start: 0, added: null }]);
  const byContent = new Map(tokens.map((token) => [token.content, token]));
  const longestFirst = contents.sort((left, right) => right.length - left.length);
  const pattern = new RegExp(`(${longestFirst.map(escaped).join("|")})`, "u");
  return (text) => {
    let at = 0;
    // A pattern in parentheses keeps what it splits at: every second part is an added token.
    const parts = text.split(pattern).map((part, index): Chunk => {
      const start = at;
      at += part.length;
      return { text: part, start, added: index % 2 === 1 ? (byContent.get(part) ?? null) : null };
    });
    return parts
      .map((part, index) => stripped(part, parts[index - 1], parts[index + 1]))
      .filter((part) => part.text !== "");
  };
}

function stripped(chunk: Chunk, before: Chunk | undefined, after: Chunk | undefined): Chunk {
  if (chunk.added !== null) return chunk;
  const left = before?.added?.rstrip === true ? stripLeft(chunk.text) : chunk.text;
  const text = after?.added?.lstrip === true ? stripRight(left) : left;
  return { ...chunk, text, start: chunk.start + chunk.text.length - left.length };
}

function escaped(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/-]/gu, String.raw`\$&`);
}
