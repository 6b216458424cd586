// The JSON files beside a tokenizer, read once: tokenizer_config.json, special_tokens_map.json, added_tokens.json. What transformers takes from them, nothing else.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";

export type Json = Readonly<Record<string, unknown>>;

export interface AddedTokenSpec {
  readonly content: string;
  /** null where the files give no id. */
  readonly id: number | null;
  readonly special: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  readonly normalized: boolean;
  readonly singleWord: boolean;
}

export interface TokenizerFiles {
  readonly folder: string;
  /** tokenizer_config.json; {} where absent. */
  readonly config: Json;
  /** tokenizer_class without "Fast"; "" where absent. */
  readonly className: string;
  /** From added_tokens_decoder, by id; else added_tokens.json. */
  readonly added: readonly AddedTokenSpec[];
  /** Special tokens by role: "eos_token" … */
  readonly roles: ReadonlyMap<string, string>;
  readonly additionalSpecial: readonly string[];
  readonly cleansUp: boolean;
}

/** Throws one line that names a file that is not JSON. */
export async function readTokenizerFiles(folder: string): Promise<TokenizerFiles> {
  const config = (await readJsonFile(join(folder, "tokenizer_config.json"))) ?? {};
  const map = (await readJsonFile(join(folder, "special_tokens_map.json"))) ?? {};
  const addedIds = (await readJsonFile(join(folder, "added_tokens.json"))) ?? {};
  const named = { ...map, ...withoutNulls(config) };
  const roles = new Map(
    roleNames.flatMap((role) => contentOf(named[role]).map((content): [string, string] => [role, content])),
  );
  const additionalSpecial = [named["additional_special_tokens"] ?? []].flat().flatMap(contentOf);
  const specials = new Set([...roles.values(), ...additionalSpecial]);
  return {
    folder,
    config,
    className: String(config["tokenizer_class"] ?? "").replace(/Fast$/u, ""),
    added: addedTokens(config["added_tokens_decoder"], addedIds, specials),
    roles,
    additionalSpecial,
    cleansUp: config["clean_up_tokenization_spaces"] === true,
  };
}

/** The object in a JSON file, or null where there is none. */
export async function readJsonFile(path: string): Promise<Json | null> {
  if (!existsSync(path)) return null;
  try {
    return JSON.parse(await readFile(path, "utf8")) as Json;
  } catch (error) {
    throw new Error(`${path}: not JSON: ${(error as Error).message}`, { cause: error });
  }
}

const roleNames = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

function withoutNulls(value: Json): Json {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== null));
}

/** A token is written as a string or as an AddedToken object. */
function contentOf(token: unknown): string[] {
  if (typeof token === "string") return [token];
  const content = typeof token === "object" && token !== null ? (token as Json)["content"] : undefined;
  return typeof content === "string" ? [content] : [];
}

function addedTokens(decoder: unknown, ids: Json, specials: ReadonlySet<string>): AddedTokenSpec[] {
  const tokens =
    typeof decoder === "object" && decoder !== null
      ? Object.entries(decoder).map(([id, token]) => addedToken(Number(id), token as Json))
      : Object.entries(ids).map(([content, id]) => addedToken(Number(id), { content, special: specials.has(content) }));
  return tokens.sort((left, right) => (left.id ?? 0) - (right.id ?? 0));
}

function addedToken(id: number, token: Json): AddedTokenSpec {
  const special = token["special"] === true;
  return {
    id,
    special,
    content: String(token["content"]),
    lstrip: token["lstrip"] === true,
    rstrip: token["rstrip"] === true,
    normalized: token["normalized"] === undefined ? !special : token["normalized"] === true,
    singleWord: token["single_word"] === true,
  };
}
