// What the Python tokenizers of transformers ("slow" ones: Marian, M2M100, ByT5) have in common: added tokens cut out first, ids by table, text by runs.
// Source: PreTrainedTokenizer of transformers 4.57 (tokenization_utils.py).
import { addedTokenSplitter, type Chunk } from "./added-token-split.js";
import { segmentedText } from "./segmented-text.js";
import { cleaningUp, Pipeline, type Stage } from "../text-stages.js";
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
    const text = segmentedText(this.#apart, () => this.#family.openRun(this.#special));
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
    const place = id ?? this.idOf(content) ?? this.#pieces.length;
    this.#pieces[place] = content;
    this.#ids.set(content, place);
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
