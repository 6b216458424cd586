// Which tokenizer the files of a transformer folder need: what transformers' AutoTokenizer would take.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { byt5Tokenizer } from "./pieces/byt5.js";
import { hubJsonFromMerges } from "./hub/from-merges.js";
import { hubJsonFromSentencePiece, isConvertible } from "./hub/from-sentencepiece.js";
import { checkHubJson } from "./hub/hub-json.js";
import { HubTokenizer } from "./hub/hub-tokenizer.js";
import { m2m100Tokenizer } from "./pieces/m2m100.js";
import { marianTokenizers } from "./pieces/marian.js";
import { readSentencePieceFile } from "./sentencepiece/model-file.js";
import { readJsonFile, readPieceIds, readTokenizerFiles, type TokenizerFiles } from "./tokenizer-files.js";
import type { Tokenizer } from "./tokenizer.js";

export interface Tokenizers {
  readonly source: Tokenizer;
  readonly target: Tokenizer;
}

/** Where tokenizer_config.json names no class: by model_type of config.json, as AutoTokenizer does. */
const classByModelType: Readonly<Record<string, string>> = {
  t5: "T5Tokenizer",
  mt5: "T5Tokenizer",
  umt5: "T5Tokenizer",
  longt5: "T5Tokenizer",
  switch_transformers: "T5Tokenizer",
  bart: "BartTokenizer",
  mvp: "MvpTokenizer",
  led: "LEDTokenizer",
  blenderbot: "BlenderbotTokenizer",
  mbart: "MBartTokenizer",
  m2m_100: "M2M100Tokenizer",
  "nllb-moe": "NllbTokenizer",
  marian: "MarianTokenizer",
  pegasus: "PegasusTokenizer",
  pegasus_x: "PegasusTokenizer",
  bigbird_pegasus: "PegasusTokenizer",
};

/** Throws one line that names the folder and what was expected, or the file at fault. */
export async function folderTokenizers(folder: string): Promise<Tokenizers> {
  const files = await filesOf(folder);
  const has: Has = (...names) => names.every((name) => existsSync(join(folder, name)));
  const isMarian = ["MarianTokenizer", ""].includes(files.className) && has("source.spm", "target.spm", "vocab.json");
  if (isMarian) return marianTokenizers(files);
  const tokenizer = (await slowTokenizer(files, has)) ?? (await fastTokenizer(files, has));
  return { source: tokenizer, target: tokenizer };
}

type Has = (...names: readonly string[]) => boolean;

/** Classes without a fast tokenizer in transformers: their own files come before a converted tokenizer.json. */
async function slowTokenizer(files: TokenizerFiles, has: Has): Promise<Tokenizer | null> {
  if (files.className === "ByT5Tokenizer") return byt5Tokenizer(files);
  const isM2m100 = files.className === "M2M100Tokenizer" && has("sentencepiece.bpe.model", "vocab.json");
  return isM2m100 ? m2m100Tokenizer(files) : null;
}

async function fastTokenizer(files: TokenizerFiles, has: Has): Promise<Tokenizer> {
  const { folder, className } = files;
  if (has("tokenizer.json")) return hubTokenizer(folder, "tokenizer.json");
  const model = ["spiece.model", "sentencepiece.bpe.model", "tokenizer.model"].find((name) => has(name));
  if (model !== undefined && isConvertible(className)) return convertedTokenizer(files, model);
  if (has("vocab.json", "merges.txt") && className !== "BlenderbotSmallTokenizer") return mergesTokenizer(files);
  throw new Error(`${folder}: ${nothingFits(className, model)}`);
}

/** A tokenizer.json; its neighbours add what they know. Throws one line that names the file. */
export async function hubTokenizer(folder: string, file: string): Promise<Tokenizer> {
  const path = join(folder, file);
  const json = await readJsonFile(path);
  if (json === null) throw new Error(`${path}: the tokenizer is missing`);
  const files = await filesOf(folder);
  return inFolder(path, () => new HubTokenizer(checkHubJson(json, path), files, file));
}

/** Runs; an error's message begins with the path. */
export function inFolder<T>(path: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    const { message } = error as Error;
    throw new Error(message.startsWith(path) ? message : `${path}: ${message}`, { cause: error });
  }
}

async function filesOf(folder: string): Promise<TokenizerFiles> {
  const config = (await readJsonFile(join(folder, "config.json"))) ?? {};
  const named = config["tokenizer_class"] ?? classByModelType[String(config["model_type"])];
  return readTokenizerFiles(folder, typeof named === "string" ? named : "");
}

async function convertedTokenizer(files: TokenizerFiles, name: string): Promise<Tokenizer> {
  const path = join(files.folder, name);
  const file = readSentencePieceFile(await readFile(path), path);
  return inFolder(path, () => new HubTokenizer(hubJsonFromSentencePiece(file, files), files, name));
}

async function mergesTokenizer(files: TokenizerFiles): Promise<Tokenizer> {
  const vocabulary = await readPieceIds(join(files.folder, "vocab.json"));
  const merges = await readFile(join(files.folder, "merges.txt"), "utf8");
  return inFolder(
    files.folder,
    () => new HubTokenizer(hubJsonFromMerges(vocabulary, merges, files), files, "vocab.json, merges.txt"),
  );
}

function nothingFits(className: string, model: string | undefined): string {
  const expected =
    "expected tokenizer.json; or source.spm, target.spm and vocab.json (Marian); or spiece.model or sentencepiece.bpe.model " +
    "(T5, NLLB, mBART, M2M100, Pegasus); or vocab.json and merges.txt (BART); or source and target vocabularies in seqserve.json";
  const found = [model, className === "" ? undefined : `tokenizer_class ${className}`].filter(
    (part) => part !== undefined,
  );
  return `no tokenizer: ${expected}${found.length === 0 ? "" : `; found ${found.join(", ")}`}`;
}
