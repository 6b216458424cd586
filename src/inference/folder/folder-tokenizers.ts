// The tokenizers of a model folder: as its manifest says, else by its files (tokenizer/hub-folder.ts). Used by the catalog once for each model.
export type { Tokenizers } from "../tokenizer/hub-folder.js";
import type { Manifest } from "./manifest.js";
import { folderTokenizers, hubTokenizer, inFolder, type Tokenizers } from "../tokenizer/hub-folder.js";
import type { Split } from "../tokenizer/vocabulary/split-text.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { readVocabulary } from "../tokenizer/vocabulary/vocabulary-table.js";
import { VocabularyTokenizer, type SymbolOrId, type VocabularyOptions } from "../tokenizer/vocabulary/vocabulary.js";

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
    ...withoutUndefined({ split: split as Split | undefined, lowercase, unknown, appendEos, prependBos, reverse }),
    specials: withoutEmpty([padToken]),
  };
}

function targetOptions({ target = {} }: Manifest): VocabularyOptions {
  return {
    ...withoutUndefined({ join: target.join }),
    specials: withoutEmpty([target.bos, target.eos, target.padToken]),
  };
}

function withoutEmpty(values: readonly (SymbolOrId | null | undefined)[]): SymbolOrId[] {
  return values.filter((value): value is SymbolOrId => value !== null && value !== undefined);
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], undefined> };

function withoutUndefined<T extends object>(options: T): Given<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Given<T>;
}
