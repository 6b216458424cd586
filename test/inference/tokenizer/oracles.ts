// Folders of test/zoo with an oracle.json: whatever lies there is tested.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface Oracle {
  readonly folder: string;
  readonly name: string;
  readonly tokenize: readonly { readonly text: string; readonly ids: readonly number[] }[];
  readonly detokenize: readonly { readonly ids: readonly number[]; readonly text: string }[];
}

export const root = join(import.meta.dirname, "../../../..");
export const zoo = join(root, "test/zoo");

export function zooOracles(): Oracle[] {
  const names = readdirSync(zoo).filter((name) => existsSync(join(zoo, name, "oracle.json")));
  return names.sort().map((name) => {
    const folder = join(zoo, name);
    const { tokenize = [], detokenize = [] } = JSON.parse(
      readFileSync(join(folder, "oracle.json"), "utf8"),
    ) as Partial<Oracle>;
    return { folder, name, tokenize, detokenize };
  });
}
