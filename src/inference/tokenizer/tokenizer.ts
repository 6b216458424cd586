// Text to ids and back, for one side of a model. One interface; tokenizer.json, sentencepiece, Marian, bytes and vocabulary lists implement it.

export interface SourceToken {
  readonly id: number;
  /** The piece as the vocabulary writes it. */
  readonly text: string;
  /** UTF-16 offsets into the input; start = stop for tokens that stand for no text. */
  readonly start: number;
  readonly stop: number;
  readonly special: boolean;
}

export interface EncodeOptions {
  /** Language codes as the model writes them. */
  readonly srcLang?: string;
  readonly tgtLang?: string;
}

/** A text has a symbol that the vocabulary lacks, and nothing stands for unknown ones. */
export class UnknownSymbol extends Error {
  override readonly name = "UnknownSymbol";
  readonly symbol: string;
  /** UTF-16 offset into the text. */
  readonly start: number;

  constructor(symbol: string, start: number) {
    super(`the model does not know ${JSON.stringify(symbol)}`);
    this.symbol = symbol;
    this.start = start;
  }
}

/** A language of the options that the model lacks, or that contradicts the text. The message says so, and which would do. */
export class WrongLanguage extends Error {
  override readonly name = "WrongLanguage";
  readonly option: keyof EncodeOptions;

  constructor(option: keyof EncodeOptions, message: string) {
    super(message);
    this.option = option;
  }
}

/** Ids to text, one at a time. Joined, all that push and flush return is exactly decode() of the ids pushed. */
export interface Detokenizer {
  /** The text that is certain with this id: never half a character, nothing that a later id may change. */
  push(id: number): string;
  /** The rest, once no id follows. */
  flush(): string;
}

export interface Tokenizer {
  /** Ids exactly as the model's own tokenizer gives them, specials included. Throws UnknownSymbol or WrongLanguage. */
  encode(text: string, options?: EncodeOptions): Promise<SourceToken[]>;
  /** Whole text of these ids; clean-up as the tokenizer's files say. */
  decode(ids: readonly number[], skipSpecialTokens: boolean): string;
  /** The same text bit by bit, for one output; O(1) per id. */
  detokenizer(skipSpecialTokens: boolean): Detokenizer;
  /** The piece as the vocabulary writes it, or null for an id outside it. */
  piece(id: number): string | null;
  isSpecial(id: number): boolean;
  /** The id of a piece, or null. */
  idOf(piece: string): number | null;
  readonly vocabSize: number;
  /** From what and of which kind, for people. */
  readonly kind: string;
  /** Language codes that the tokenizer knows, in its own spelling; empty for most. */
  readonly languages: readonly string[];
  /** The id that an output in this language begins with (forced_bos_token_id), or null where the source carries the language or there are none. */
  targetLanguageId(code: string): number | null;
}

/** Whole text through a detokenizer: decode() of every tokenizer, so that streams and whole answers cannot differ. */
export function decodeAll(detokenizer: Detokenizer, ids: readonly number[]): string {
  let text = "";
  for (const id of ids) text += detokenizer.push(id);
  return text + detokenizer.flush();
}
