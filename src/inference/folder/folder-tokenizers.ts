// The tokenizers of a model folder: what its manifest says, else what its files tell (folder-tokenizers.ts). Used by the catalog, once a model.
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
