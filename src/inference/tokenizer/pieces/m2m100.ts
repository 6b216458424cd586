// M2M100: a sentencepiece model cuts, vocab.json numbers, language tokens (__en__) follow behind the vocabulary. Source: M2M100Tokenizer of transformers 4.57.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { m2m100Languages, wmt21Languages } from "../languages/language-codes.js";
import { knownLanguage } from "../languages/language-edges.js";
import { PieceTokenizer } from "./piece-tokenizer.js";
import { readSentencePieceFile } from "../sentencepiece/model-file.js";
import { SentencePiece, piecesToText } from "../sentencepiece/sentencepiece.js";
import { strippingSpaces } from "../text-stages.js";
import { readPieceIds, type TokenizerFiles } from "../tokenizer-files.js";

/** Throws one line that names a file that is missing or broken. */
export async function m2m100Tokenizer(files: TokenizerFiles): Promise<PieceTokenizer> {
  const { folder, config, roles } = files;
  const path = join(folder, "sentencepiece.bpe.model");
  const model = new SentencePiece(readSentencePieceFile(await readFile(path), path));
  const vocabulary = await readPieceIds(join(folder, "vocab.json"));
  const pieces: (string | undefined)[] = [];
  for (const [piece, id] of vocabulary) pieces[id] = piece;
  const { size } = vocabulary;
  const codes = config["language_codes"] === "wmt21" ? wmt21Languages : m2m100Languages;
  const languages = new Map(codes.map((code, index) => [code, size + index]));
  for (const [code, id] of languages) pieces[id] = `__${code}__`;
  const unknown = roles.get("unk_token") ?? "<unk>";
  const idOf = (piece: string) => vocabulary.get(piece) ?? vocabulary.get(unknown) ?? 0;
  const usual = typeof config["src_lang"] === "string" ? config["src_lang"] : "en";
  return new PieceTokenizer({
    kind: "sentencepiece.bpe.model with vocab.json (M2M100)",
    files,
    pieces,
    unknown,
    languages,
    vocabularySize: size,
    split: (text) =>
      model.encode(text).map((piece) => ({ ...piece, id: languageId(piece.text, languages) ?? idOf(piece.text) })),
    openRun: (special) => [piecesToText(model, special, ""), strippingSpaces()],
    around: (_, { srcLang }) => {
      const code = srcLang === undefined ? usual : knownLanguage(srcLang, codes, "srcLang");
      const id = languages.get(code);
      return { before: id === undefined ? [] : [id], after: [idOf(roles.get("eos_token") ?? "</s>")] };
    },
  });
}

function languageId(piece: string, languages: ReadonlyMap<string, number>): number | undefined {
  const code = /^__(.+)__$/u.exec(piece)?.[1];
  return code === undefined ? undefined : languages.get(code);
}
