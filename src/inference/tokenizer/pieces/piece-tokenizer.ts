// What the Python tokenizers of transformers ("slow" ones: Marian, M2M100, ByT5) have in common: added tokens cut out first, ids by table, text by runs.
// Source: PreTrainedTokenizer of transformers 4.57 (tokenization_utils.py).
import { cleaningUp, Pipeline, type Stage, stripLeft, stripRight } from "../text-stages.js";
import { decodeAll, type Detokenizer, type EncodeOptions, type SourceToken, type Tokenizer } from "../tokenizer.js";
import type { AddedTokenSpec, TokenizerFiles } from "../tokenizer-files.js";

/** A piece of a text without added tokens; offsets into that text. */
export interface RawPiece {
  readonly text: string;
  readonly id: number;
  readonly start: number;
  readonly stop: number;
}

/** What a family says of itself. */
export interface PieceFamily {
  readonly kind: string;
  readonly files: TokenizerFiles;
  /** Pieces of the model's own vocabulary by id; undefined where there is none. */
  readonly pieces: readonly (string | undefined)[];
  /** len(tokenizer.encoder): additional special tokens from here on stand apart in texts. */
  readonly vocabularySize: number;
  readonly split: (text: string) => readonly RawPiece[];
  /** Stages for one run of tokens (convert_tokens_to_string); gets the special tokens. */
  readonly openRun: (special: ReadonlySet<string>) => Stage[];
  /** Ids put before and behind a text's own. */
  readonly around: (
    ids: readonly number[],
    options: EncodeOptions,
  ) => { readonly before: readonly number[]; readonly after: readonly number[] };
  /** Language codes to what stands for them in a target, null where the source carries them. */
  readonly languages: ReadonlyMap<string, number | null>;
  /** Stands for ids without a piece. */
  readonly unknown: string | null;
}

/** A part of a text that is one added token, or has none. */
export interface Chunk {
  readonly text: string;
  /** UTF-16 offset into the input. */
  readonly start: number;
  readonly added: AddedTokenSpec | null;
}

export class PieceTokenizer implements Tokenizer {
  readonly languages: readonly string[];
  readonly kind: string;
  readonly #family: PieceFamily;
  readonly #pieces: (string | undefined)[];
  readonly #ids = new Map<string, number>();
  readonly #special: ReadonlySet<string>;
  readonly #apart: ReadonlySet<string>;
  readonly #chunks: (text: string) => Chunk[];

  constructor(family: PieceFamily) {
    this.#family = family;
    this.kind = family.kind;
    this.languages = [...family.languages.keys()];
    this.#pieces = [...family.pieces];
    this.#pieces.forEach((piece, id) => piece !== undefined && this.#ids.set(piece, id));
    const { added, specials, additionalSpecial } = family.files;
    const tokens = [...added, ...specials.filter(({ content }) => !added.some((token) => token.content === content))];
    for (const token of tokens) this.#add(token);
    this.#special = new Set(specials.map((token) => token.content));
    const late = additionalSpecial.filter((content) => (this.idOf(content) ?? 0) >= family.vocabularySize);
    this.#apart = new Set([
      ...tokens.map(({ content }) => content).filter((content) => !this.#special.has(content)),
      ...late,
    ]);
    this.#chunks = addedTokenSplitter(tokens);
  }

  get vocabSize(): number {
    return this.#pieces.length;
  }

  async encode(text: string, options: EncodeOptions = {}): Promise<SourceToken[]> {
    const tokens = this.#chunks(text).flatMap((chunk) => this.#chunkTokens(chunk));
    const { before, after } = this.#family.around(
      tokens.map((token) => token.id),
      options,
    );
    return [
      ...before.map((id) => this.#token(id, 0, 0)),
      ...tokens,
      ...after.map((id) => this.#token(id, text.length, text.length)),
    ];
  }

  decode(ids: readonly number[], skipSpecialTokens: boolean): string {
    return decodeAll(this.detokenizer(skipSpecialTokens), ids);
  }

  detokenizer(skipSpecialTokens: boolean): Detokenizer {
    const text = joinRuns(this.#apart, () => this.#family.openRun(this.#special));
    const pipeline = new Pipeline(this.#family.files.cleansUp ? [text, cleaningUp()] : [text]);
    return {
      push: (id) => {
        const piece = this.#pieces[id] ?? this.#family.unknown;
        return piece === null || (skipSpecialTokens && this.#special.has(piece)) ? "" : pipeline.push(piece);
      },
      flush: () => pipeline.flush(),
    };
  }

  piece(id: number): string | null {
    return this.#pieces[id] ?? null;
  }

  isSpecial(id: number): boolean {
    const piece = this.#pieces[id];
    return piece !== undefined && this.#special.has(piece);
  }

  idOf(piece: string): number | null {
    return this.#ids.get(piece) ?? null;
  }

  targetLanguageId(code: string): number | null {
    return this.#family.languages.get(code) ?? null;
  }

  /** An added token without an id takes the vocabulary's, or the next free one. */
  #add({ content, id }: AddedTokenSpec): void {
    const ownId = id ?? this.idOf(content) ?? this.#pieces.length;
    this.#pieces[ownId] = content;
    this.#ids.set(content, ownId);
  }

  #chunkTokens({ text, start, added }: Chunk): SourceToken[] {
    const pieces =
      added === null ? this.#family.split(text) : [{ text, id: this.idOf(text) ?? 0, start: 0, stop: text.length }];
    return pieces.map((piece) => this.#token(piece.id, start + piece.start, start + piece.stop));
  }

  #token(id: number, start: number, stop: number): SourceToken {
    return { id, text: this.#pieces[id] ?? "", start, stop, special: this.isSpecial(id) };
  }
}

/**
 * Splits texts at the leftmost, longest added tokens ("</s>", "<extra_id_0>") before they are tokenised, as PreTrainedTokenizer.tokenize of
 * transformers 4.57 does (tokens_trie, lstrip, rstrip).
 */
function addedTokenSplitter(tokens: readonly AddedTokenSpec[]): (text: string) => Chunk[] {
  const contents = tokens.map((token) => token.content).filter((content) => content !== "");
  if (contents.length === 0) return (text) => (text === "" ? [] : [{ text, start: 0, added: null }]);
  const byContent = new Map(tokens.map((token) => [token.content, token]));
  const longestFirst = contents.sort((left, right) => right.length - left.length);
  const pattern = new RegExp(`(${longestFirst.map(escapeForPattern).join("|")})`, "u");
  return (text) => {
    let at = 0;
    // A pattern in parentheses keeps what it splits at: every second part is an added token.
    const parts = text.split(pattern).map((part, index): Chunk => {
      const start = at;
      at += part.length;
      return { text: part, start, added: index % 2 === 1 ? (byContent.get(part) ?? null) : null };
    });
    return parts
      .map((part, index) => stripBesideAdded(part, parts[index - 1], parts[index + 1]))
      .filter((part) => part.text !== "");
  };
}

function stripBesideAdded(chunk: Chunk, before: Chunk | undefined, after: Chunk | undefined): Chunk {
  if (chunk.added !== null) return chunk;
  const left = before?.added?.rstrip === true ? stripLeft(chunk.text) : chunk.text;
  const text = after?.added?.lstrip === true ? stripRight(left) : left;
  return { ...chunk, text, start: chunk.start + chunk.text.length - left.length };
}

function escapeForPattern(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/-]/gu, String.raw`\$&`);
}

/**
 * Tokens to text where the added tokens in `standsApart` stand apart: runs of other tokens become text on their own, joined by spaces. `openRun`
 * makes the stages for one run (convert_tokens_to_string). Source: PreTrainedTokenizer._decode of transformers 4.57 (legacy_added_tokens,
 * spaces_between_special_tokens).
 */
function joinRuns(standsApart: ReadonlySet<string>, openRun: () => Stage[]): Stage {
  let run: Pipeline | null = null;
  let runHasText = false;
  let hasParts = false;
  const separated = (text: string) => {
    const separator = hasParts && !runHasText ? " " : "";
    if (text === "") return "";
    runHasText = true;
    return separator + text;
  };
  const close = () => {
    const text = separated(run?.flush() ?? "");
    hasParts ||= runHasText;
    runHasText = false;
    run = null;
    return text;
  };
  return {
    push(token) {
      if (!standsApart.has(token)) {
        run ??= new Pipeline(openRun());
        return [separated(run.push(token))];
      }
      const before = close();
      const text = separated(token);
      hasParts = true;
      runHasText = false;
      return [before + text];
    },
    flush() {
      // The last run counts even if it is empty.
      const isEmptyEnd = run !== null && hasParts && !runHasText;
      const text = separated(run?.flush() ?? "");
      return [text === "" && isEmptyEnd ? " " : text];
    },
  };
}
