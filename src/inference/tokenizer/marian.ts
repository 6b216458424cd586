// Marian (Helsinki-NLP opus-mt): two sentencepiece models that cut texts into pieces and one vocab.json (or two) that numbers them.
// Source: MarianTokenizer of transformers 4.57, without sacremoses (its punctuation rules are an optional package there).
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../../errors.js";
import { knownLanguage } from "./language-edges.js";
import { PieceTokenizer, type RawPiece } from "./piece-tokenizer.js";
import { readSentencePieceFile } from "./sentencepiece/model-file.js";
import { pieceText } from "./sentencepiece/piece-text.js";
import { SentencePiece } from "./sentencepiece/sentencepiece.js";
import { eachPiece, strippingSpaces } from "./text-stages.js";
import type { EncodeOptions } from "./tokenizer.js";
import { readPieceIds, type PieceIds, type TokenizerFiles } from "./tokenizer-files.js";

/** Source side and target side. Throws one line that names a file that is missing or broken. */
export async function marianTokenizers(files: TokenizerFiles) {
  const { folder, config } = files;
  const vocabulary = await readPieceIds(join(folder, "vocab.json"));
  const isSeparate = config["separate_vocabs"] === true;
  const targetVocabulary = isSeparate ? await readPieceIds(join(folder, "target_vocab.json")) : vocabulary;
  const languages = isSeparate ? [] : languageCodes(vocabulary);
  return {
    source: marianSide(files, await readModel(folder, "source.spm"), vocabulary, languages),
    target: marianSide(files, await readModel(folder, "target.spm"), targetVocabulary, languages),
  };
}

async function readModel(folder: string, name: string): Promise<SentencePiece> {
  const path = join(folder, name);
  return new SentencePiece(readSentencePieceFile(await readFile(path), path));
}

function languageCodes(vocabulary: PieceIds): string[] {
  return [...vocabulary.keys()].flatMap((piece) => /^>>(.+)<<$/u.exec(piece)?.[1] ?? []);
}

function marianSide(
  files: TokenizerFiles,
  model: SentencePiece,
  vocabulary: PieceIds,
  languages: readonly string[],
): PieceTokenizer {
  const pieces: (string | undefined)[] = [];
  for (const [piece, id] of vocabulary) pieces[id] = piece;
  const unknown = files.roles.get("unk_token") ?? "<unk>";
  const idOf = (piece: string) => vocabulary.get(piece) ?? vocabulary.get(unknown) ?? 0;
  const end = files.roles.get("eos_token") ?? "</s>";
  return new PieceTokenizer({
    files,
    pieces,
    unknown,
    vocabularySize: vocabulary.size,
    split: (text) => marianPieces(text, model, idOf),
    openRun: (special) => [
      pieceText(model, special, " "),
      eachPiece((text) => text.replaceAll("▁", " ")),
      strippingSpaces(),
    ],
    around: (ids, { tgtLang }: EncodeOptions) => ({
      before: languagePrefix(ids, tgtLang, languages, idOf),
      after: [idOf(end)],
    }),
    languages: new Map(languages.map((code) => [code, null])),
  });
}

/** A code like ">>deu<<" at the very beginning is one piece; sentencepiece never sees it. */
function marianPieces(text: string, model: SentencePiece, idOf: (piece: string) => number): RawPiece[] {
  const code = /^>>[^]*?<</u.exec(text)?.[0] ?? "";
  const rest = model.encode(text.slice(code.length)).map(({ text: piece, start, stop }): RawPiece => {
    return { text: piece, id: idOf(piece), start: start + code.length, stop: stop + code.length };
  });
  return code === "" ? rest : [{ text: code, id: idOf(code), start: 0, stop: code.length }, ...rest];
}

/** The target language as the source's first piece, unless the text names it itself. */
function languagePrefix(
  ids: readonly number[],
  wanted: string | undefined,
  languages: readonly string[],
  idOf: (piece: string) => number,
): number[] {
  if (wanted === undefined || languages.length === 0) return [];
  const field = "parameters.tgt_lang";
  const id = idOf(`>>${knownLanguage(wanted, languages, field)}<<`);
  const own = languages.find((code) => idOf(`>>${code}<<`) === ids[0]);
  if (own === undefined) return [id];
  if (ids[0] === id) return [];
  throw new AppError("validation", `${field}: the text begins with >>${own}<<, which is another language`, { field });
}
