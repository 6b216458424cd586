// Which tokenizer a model folder needs, by its manifest and its files. Used by the catalog, once a model.
import { join } from "node:path";
import { existsSync } from "node:fs";
import type { Manifest } from "../manifest.js";
import { checkHubJson } from "./hub-json.js";
import { HubTokenizer } from "./hub-tokenizer.js";
import type { Split } from "./split-text.js";
import { readJsonFile, readTokenizerFiles } from "./tokenizer-files.js";
import type { Tokenizer } from "./tokenizer.js";
import { readVocabulary } from "./vocabulary-table.js";
import { VocabularyTokenizer, type SymbolOrId, type VocabularyOptions } from "./vocabulary.js";

export interface Tokenizers {
  readonly source: Tokenizer;
  readonly target: Tokenizer;
}

/** Throws one line that names the folder and the files that were expected, or the file at fault. */
export async function loadTokenizers(folder: string, manifest: Manifest = {}): Promise<Tokenizers> {
  const { source, target } = manifest;
  const sourceSide = source === undefined ? null : await manifestSide(folder, source, sourceOptions(manifest));
  const targetSide = target === undefined ? null : await manifestSide(folder, target, targetOptions(manifest));
  if (sourceSide !== null && targetSide !== null) return { source: sourceSide, target: targetSide };
  const shared = sourceSide ?? targetSide;
  if (shared !== null) return { source: shared, target: shared };
  return folderTokenizers(folder);
}

type SourceFields = NonNullable<Manifest["source"]>;
type Side = Pick<SourceFields, "vocab" | "tokenizer">;

/** One side as the manifest says; null where it says nothing of its tokens. */
async function manifestSide(folder: string, side: Side, options: VocabularyOptions): Promise<Tokenizer | null> {
  if (side.vocab !== undefined) {
    const table = await readVocabulary(folder, side.vocab);
    return inFolder(folder, () => new VocabularyTokenizer(table, options));
  }
  return typeof side.tokenizer === "string" ? hubTokenizer(folder, side.tokenizer) : null;
}

function sourceOptions({ source = {} }: Manifest): VocabularyOptions {
  const { split, lowercase, unknown, appendEos, prependBos, reverse, padToken } = source;
  return {
    ...given({ split: split as Split | undefined, lowercase, unknown, appendEos, prependBos, reverse }),
    specials: symbols([padToken]),
  };
}

function targetOptions({ target = {} }: Manifest): VocabularyOptions {
  return { ...given({ join: target.join }), specials: symbols([target.bos, target.eos, target.padToken]) };
}

function symbols(values: readonly (SymbolOrId | null | undefined)[]): SymbolOrId[] {
  return values.filter((value): value is SymbolOrId => value !== null && value !== undefined);
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function given<T extends object>(options: T): Given<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Given<T>;
}

async function folderTokenizers(folder: string): Promise<Tokenizers> {
  if (existsSync(join(folder, "tokenizer.json"))) {
    const tokenizer = await hubTokenizer(folder, "tokenizer.json");
    return { source: tokenizer, target: tokenizer };
  }
  throw new Error(`${folder}: no tokenizer: expected tokenizer.json`);
}

async function hubTokenizer(folder: string, file: string): Promise<Tokenizer> {
  const path = join(folder, file);
  const json = await readJsonFile(path);
  if (json === null) throw new Error(`${path}: the tokenizer is missing`);
  const files = await readTokenizerFiles(folder);
  return inFolder(path, () => new HubTokenizer(checkHubJson(json, path), files));
}

function inFolder<T>(path: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    const { message } = error as Error;
    throw new Error(message.startsWith(path) ? message : `${path}: ${message}`, { cause: error });
  }
}
