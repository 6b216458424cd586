// The tokenizer of recurrent models: symbols looked up in a vocabulary list. Made from the manifest's `source` and `target` fields.
import { splitText, type Split } from "./split-text.js";
import { decodeAll, UnknownSymbol, type Detokenizer, type SourceToken, type Tokenizer } from "../tokenizer.js";
import type { VocabularyTable } from "./vocabulary-table.js";

/** A symbol, or an id where a number is given. */
export type SymbolOrId = string | number;

export interface VocabularyOptions {
  /** How a text becomes symbols; characters (graphemes) when absent. */
  readonly split?: Split;
  readonly lowercase?: boolean;
  /** The symbol that stands for unknown ones; "reject" when absent: an unknown symbol is then a 422 that names it. */
  readonly unknown?: string;
  readonly appendEos?: SymbolOrId | null;
  readonly prependBos?: SymbolOrId | null;
  /** Sutskever-style: symbols in reverse, before bos and eos are put around them. */
  readonly reverse?: boolean;
  /** Between symbols in a decoded text; nothing when absent. */
  readonly join?: string;
  /** Further symbols that are no text (pad, bos, eos). */
  readonly specials?: readonly SymbolOrId[];
}

export class VocabularyTokenizer implements Tokenizer {
  readonly languages: readonly string[] = [];
  readonly kind: string;
  readonly #table: VocabularyTable;
  readonly #options: VocabularyOptions;
  readonly #special: ReadonlySet<number>;
  readonly #unknown: number | null;
  readonly #before: readonly SourceToken[];
  readonly #after: readonly SourceToken[];

  /** Throws one line for an option that names a symbol outside the table. */
  constructor(table: VocabularyTable, options: VocabularyOptions) {
    this.#table = table;
    this.#options = options;
    this.kind = `vocabulary list (${options.split ?? "characters"})`;
    const { unknown = "reject", prependBos, appendEos } = options;
    this.#unknown = unknown === "reject" ? null : this.#resolve(unknown, "unknown");
    this.#before = this.#edge(prependBos, "prependBos");
    this.#after = this.#edge(appendEos, "appendEos");
    const ids = (options.specials ?? []).map((symbol) => this.#resolve(symbol, "pad, bos or eos"));
    this.#special = new Set([...ids, ...this.#before.map(({ id }) => id), ...this.#after.map(({ id }) => id)]);
  }

  get vocabSize(): number {
    return this.#table.size;
  }

  async encode(text: string): Promise<SourceToken[]> {
    const { split = "characters", lowercase = false, reverse = false } = this.#options;
    const symbols = splitText(text, split, lowercase);
    const tokens = symbols.map(({ text: symbol, start, stop }) => this.#token(symbol, start, stop, text));
    const after = this.#after.map((token) => ({ ...token, start: text.length, stop: text.length }));
    return [...this.#before, ...(reverse ? tokens.reverse() : tokens), ...after];
  }

  decode(ids: readonly number[], skipSpecialTokens: boolean): string {
    return decodeAll(this.detokenizer(skipSpecialTokens), ids);
  }

  detokenizer(skipSpecialTokens: boolean): Detokenizer {
    let isFirst = true;
    return {
      push: (id) => {
        const symbol = this.#table.symbols.get(id);
        if (symbol === undefined || (skipSpecialTokens && this.#special.has(id))) return "";
        const text = isFirst ? symbol : (this.#options.join ?? "") + symbol;
        isFirst = false;
        return text;
      },
      flush: () => "",
    };
  }

  piece(id: number): string | null {
    return this.#table.symbols.get(id) ?? null;
  }

  isSpecial(id: number): boolean {
    return this.#special.has(id);
  }

  idOf(piece: string): number | null {
    return this.#table.ids.get(piece) ?? null;
  }

  targetLanguageId(): null {
    return null;
  }

  #token(symbol: string, start: number, stop: number, text: string): SourceToken {
    const id = this.#table.ids.get(symbol) ?? this.#unknown;
    if (id === null) throw new UnknownSymbol(text.slice(start, stop), start);
    return { id, text: this.#table.symbols.get(id) ?? symbol, start, stop, special: this.#special.has(id) };
  }

  #edge(symbol: SymbolOrId | null | undefined, option: string): SourceToken[] {
    if (symbol === null || symbol === undefined) return [];
    const id = this.#resolve(symbol, option);
    return [{ id, text: this.#table.symbols.get(id) ?? "", start: 0, stop: 0, special: true }];
  }

  #resolve(symbol: SymbolOrId, option: string): number {
    const id = typeof symbol === "number" ? symbol : this.#table.ids.get(symbol);
    if (id === undefined) throw new Error(`${option}: the vocabulary has no symbol ${JSON.stringify(symbol)}`);
    return id;
  }
}
