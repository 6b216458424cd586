// Folders with an oracle.json, made by transformers: the zoo and the tokenizers that stand alone. Whatever lies there is tested.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface Oracle {
  readonly folder: string;
  readonly name: string;
  readonly tokenize: readonly {
    readonly text: string;
    readonly ids: readonly number[];
    readonly srcLang?: string;
    readonly tgtLang?: string;
  }[];
  /** `skip`: skip_special_tokens, true when absent. */
  readonly detokenize: readonly { readonly ids: readonly number[]; readonly text: string; readonly skip?: boolean }[];
}

export const root = join(import.meta.dirname, "../../../../..");

export function oracleFolders(): Oracle[] {
  return ["test/zoo", "test/fixtures/tokenizer"].flatMap((parent) => {
    const names = existsSync(join(root, parent)) ? readdirSync(join(root, parent)) : [];
    const withOracle = names.filter((name) => existsSync(join(root, parent, name, "oracle.json")));
    return withOracle.sort().map((name) => readOracle(parent, name));
  });
}

function readOracle(parent: string, name: string): Oracle {
  const folder = join(root, parent, name);
  const { tokenize, detokenize } = JSON.parse(readFileSync(join(folder, "oracle.json"), "utf8")) as Partial<Oracle>;
  return { folder, name: `${parent}/${name}`, tokenize: tokenize ?? [], detokenize: detokenize ?? [] };
}
