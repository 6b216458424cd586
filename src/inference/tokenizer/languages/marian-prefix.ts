// Target languages of multilingual Marian models: a piece like ">>deu<<" at the very beginning of the source.
import { WrongLanguage } from "../tokenizer.js";
import { knownLanguage } from "./language-edges.js";

/** The code with its signs that a text begins with, or "". Source: MarianTokenizer.remove_language_code of transformers 4.57. */
export function leadingCode(text: string): string {
  return /^>>[^]*?<</u.exec(text)?.[0] ?? "";
}

/** Codes of the vocabulary, without their signs: "deu". */
export function codesIn(pieces: Iterable<string | undefined>): string[] {
  return Array.from(pieces).flatMap((piece) => /^>>(.+)<<$/u.exec(piece ?? "")?.[1] ?? []);
}

/**
 * The piece to put before a source so that it is translated into `wanted`: null where nothing is wanted or the source says so itself.
 * `first` is the source's own first piece. Throws WrongLanguage for an unknown language and for a source that names another.
 */
export function missingCode(
  wanted: string | undefined,
  first: string | undefined,
  codes: readonly string[],
): string | null {
  if (wanted === undefined || codes.length === 0) return null;
  const piece = `>>${knownLanguage(wanted, codes, "tgtLang")}<<`;
  if (first === piece) return null;
  const isOther = codes.some((code) => first === `>>${code}<<`);
  if (isOther) throw new WrongLanguage("tgtLang", `${piece}, but the text begins with ${first}`);
  return piece;
}
