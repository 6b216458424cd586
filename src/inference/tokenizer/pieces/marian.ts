// Marian (Helsinki-NLP opus-mt): two sentencepiece models that cut texts into pieces and one vocab.json (or two) that numbers them.
// Source: MarianTokenizer of transformers 4.57, without sacremoses (its punctuation rules are an optional package there).
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { codesIn, leadingCode, missingCode } from "../languages/marian-prefix.js";
import { PieceTokenizer, type RawPiece } from "./piece-tokenizer.js";
import { readSentencePieceFile } from "../sentencepiece/model-file.js";
import { SentencePiece, piecesToText } from "../sentencepiece/sentencepiece.js";
import { eachPiece, strippingSpaces } from "../text-stages.js";
import { readPieceIds, type PieceIds, type TokenizerFiles } from "../tokenizer-files.js";

/** Source side and target side. Throws one line that names a file that is missing or broken. */
export async function marianTokenizers(files: TokenizerFiles) {
  const { folder, config } = files;
  const vocabulary = await readPieceIds(join(folder, "vocab.json"));
  const isSeparate = config["separate_vocabs"] === true;
  const targetVocabulary = isSeparate ? await readPieceIds(join(folder, "target_vocab.json")) : vocabulary;
  const languages = isSeparate ? [] : codesIn(vocabulary.keys());
  return {
    source: marianSide(files, await readModel(folder, "source.spm"), vocabulary, languages),
    target: marianSide(files, await readModel(folder, "target.spm"), targetVocabulary, languages),
  };
}

async function readModel(folder: string, name: string): Promise<SentencePiece> {
  const path = join(folder, name);
  return new SentencePiece(readSentencePieceFile(await readFile(path), path));
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
    kind: "source.spm, target.spm with vocab.json (Marian)",
    files,
    pieces,
    unknown,
    vocabularySize: vocabulary.size,
    split: (text) => marianPieces(text, model, idOf),
    openRun: (special) => [
      piecesToText(model, special, " "),
      eachPiece((text) => text.replaceAll("▁", " ")),
      strippingSpaces(),
    ],
    around: ([first], { tgtLang }) => {
      const code = missingCode(tgtLang, first === undefined ? undefined : pieces[first], languages);
      return { before: code === null ? [] : [idOf(code)], after: [idOf(end)] };
    },
    languages: new Map(languages.map((code) => [code, null])),
  });
}

/** A code like ">>deu<<" at the very beginning is one piece; sentencepiece never sees it. */
function marianPieces(text: string, model: SentencePiece, idOf: (piece: string) => number): RawPiece[] {
  const code = leadingCode(text);
  const rest = model.encode(text.slice(code.length)).map(({ text: piece, start, stop }): RawPiece => {
    return { text: piece, id: idOf(piece), start: start + code.length, stop: stop + code.length };
  });
  return code === "" ? rest : [{ text: code, id: idOf(code), start: 0, stop: code.length }, ...rest];
}
