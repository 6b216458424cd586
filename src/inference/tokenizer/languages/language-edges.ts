// Where multilingual models want the language of the source: before the text or behind it, and how they write it. As the tokenizers of transformers 4.57 do.
import { languageNamed, wrongLanguage } from "./language-names.js";
import { WrongLanguage, type EncodeOptions } from "../tokenizer.js";
import type { Json, TokenizerFiles } from "../tokenizer-files.js";

export interface LanguageRule {
  readonly place: "first" | "last";
  /** Codes as the model spells them, and their tokens. */
  readonly tokens: ReadonlyMap<string, string>;
  /** The source language where a request names none. */
  readonly fallback: string | null;
}

interface Family {
  readonly place: (config: Json) => "first" | "last";
  /** The code in a special token, or null for other tokens. */
  readonly codeOf: (token: string) => string | null;
  readonly fallback: string;
}

const matching = (pattern: RegExp) => (token: string) => pattern.exec(token)?.[1] ?? null;

const families: Readonly<Record<string, Family>> = {
  NllbTokenizer: {
    place: (config) => (config["legacy_behaviour"] === true ? "last" : "first"),
    codeOf: matching(/^([a-z]{3}_[A-Z][a-z]{3})$/u),
    fallback: "eng_Latn",
  },
  MBartTokenizer: { place: () => "last", codeOf: matching(/^([a-z]{2}_[A-Z]{2})$/u), fallback: "en_XX" },
  MBart50Tokenizer: { place: () => "first", codeOf: matching(/^([a-z]{2}_[A-Z]{2})$/u), fallback: "en_XX" },
  M2M100Tokenizer: { place: () => "first", codeOf: matching(/^__([a-z]{2,3})__$/u), fallback: "en" },
};

/** The rule of the folder's tokenizer_class, or null for models without languages in their source. */
export function languageRule(files: TokenizerFiles, specialTokens: Iterable<string>): LanguageRule | null {
  const family = families[files.className];
  if (family === undefined) return null;
  const tokens = new Map<string, string>();
  for (const token of specialTokens) {
    const code = family.codeOf(token);
    if (code !== null) tokens.set(code, token);
  }
  // Without tokens of its own the file's post-processor is all there is to go by.
  if (tokens.size === 0) return null;
  const configured = files.config["src_lang"];
  const wanted = typeof configured === "string" ? configured : family.fallback;
  return { place: family.place(files.config), tokens, fallback: tokens.has(wanted) ? wanted : null };
}

/** The code that is meant, in the model's spelling. Throws WrongLanguage, which names the nearest known one. */
export function knownLanguage(wanted: string, known: readonly string[], option: keyof EncodeOptions): string {
  const code = languageNamed(wanted, known);
  if (code === null) throw new WrongLanguage(option, wrongLanguage(wanted, known));
  return code;
}
