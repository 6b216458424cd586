// The JSON files beside a tokenizer, read once: tokenizer_config.json, special_tokens_map.json, added_tokens.json. What transformers takes from them, nothing else.
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { withoutNulls } from "../../parameters.js";
import { classDefaults, type TokenFlags } from "./class-defaults.js";

export type Json = Readonly<Record<string, unknown>>;

export interface AddedTokenSpec {
  readonly content: string;
  /** null where the files give no id. */
  readonly id: number | null;
  readonly special: boolean;
  /** Takes the white space on its left (right) with it. */
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  readonly normalized: boolean;
  readonly singleWord: boolean;
}

export interface TokenizerFiles {
  readonly folder: string;
  /** tokenizer_config.json; {} where absent. */
  readonly config: Json;
  /** tokenizer_class without "Fast"; "" where no file says. */
  readonly className: string;
  /** From added_tokens_decoder, else added_tokens.json; by id. */
  readonly added: readonly AddedTokenSpec[];
  /** Special tokens by role: "eos_token" … */
  readonly roles: ReadonlyMap<string, string>;
  /** All special tokens: roles in transformers' order, then the additional ones. */
  readonly specials: readonly AddedTokenSpec[];
  readonly additionalSpecial: readonly string[];
  readonly cleansUp: boolean;
}

/** `fallbackClass` counts where tokenizer_config.json names no class. Throws one line that names a file that is not JSON. */
export async function readTokenizerFiles(folder: string, fallbackClass = ""): Promise<TokenizerFiles> {
  const config = (await readJsonFile(join(folder, "tokenizer_config.json"))) ?? {};
  const map = (await readJsonFile(join(folder, "special_tokens_map.json"))) ?? {};
  const addedIds = (await readJsonFile(join(folder, "added_tokens.json"))) ?? {};
  const className = String(config["tokenizer_class"] ?? fallbackClass)
    .replace(/Fast$/u, "")
    .replace(/^MT5/u, "T5");
  const named = { ...map, ...withoutNulls(config) };
  const { roles, additionalSpecial } = specialNames(className, config, named);
  const specialContents = new Set([...roles.values(), ...additionalSpecial]);
  const added = addedTokens(config["added_tokens_decoder"], addedIds, specialContents);
  const written = [...roleNames.map((role) => named[role]), ...listOf(named["additional_special_tokens"])];
  const flags = classFlags(className, roles);
  return {
    folder,
    config,
    className,
    added,
    roles,
    additionalSpecial,
    specials: [...specialContents].map((content) => specialToken(content, added, written, flags.get(content) ?? {})),
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

export type PieceIds = ReadonlyMap<string, number>;

/** A vocab.json. Throws one line that names a file that is missing or broken. */
export async function readPieceIds(path: string): Promise<PieceIds> {
  const map = await readJsonFile(path);
  if (map === null) throw new Error(`${path}: the vocabulary is missing`);
  return new Map(
    Object.entries(map).map(([piece, id]): [string, number] => {
      if (typeof id === "number") return [piece, id];
      throw new Error(`${path}: ${JSON.stringify(piece)}: expected an id, found ${JSON.stringify(id)}`);
    }),
  );
}

const roleNames = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

function specialNames(className: string, config: Json, named: Json) {
  const defaults = classDefaults[className];
  const roles = new Map(
    roleNames.flatMap((role): [string, string][] => {
      const content = contentOf(named[role]) ?? defaults?.roles[role];
      return content === undefined ? [] : [[role, content]];
    }),
  );
  const listed = named["additional_special_tokens"];
  const additional = listed === undefined ? null : listOf(listed).flatMap((token) => contentOf(token) ?? []);
  return { roles, additionalSpecial: defaults?.additional(config, additional) ?? additional ?? [] };
}

function listOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/** A token is written as a string or as an AddedToken object. */
function contentOf(token: unknown): string | undefined {
  if (typeof token === "string") return token;
  const content = typeof token === "object" && token !== null ? (token as Json)["content"] : undefined;
  return typeof content === "string" ? content : undefined;
}

/** Flags as the files write them, else as the class has them. */
function specialToken(
  content: string,
  added: readonly AddedTokenSpec[],
  written: readonly unknown[],
  flags: TokenFlags,
): AddedTokenSpec {
  const known = added.find((token) => token.content === content);
  if (known !== undefined) return { ...known, special: true };
  const object = written.find((token) => typeof token === "object" && contentOf(token) === content) as Json | undefined;
  return { ...addedToken(null, object ?? { content, normalized: false, ...flags }), special: true };
}

/** Flags of the class by token. */
function classFlags(className: string, roles: ReadonlyMap<string, string>): ReadonlyMap<string, TokenFlags> {
  const flags = Object.entries(classDefaults[className]?.flags ?? {});
  return new Map(flags.map(([role, value]): [string, TokenFlags] => [roles.get(role) ?? "", value]));
}

function addedTokens(decoder: unknown, ids: Json, specials: ReadonlySet<string>): AddedTokenSpec[] {
  const tokens =
    typeof decoder === "object" && decoder !== null
      ? Object.entries(decoder).map(([id, token]) => addedToken(Number(id), token as Json))
      : Object.entries(ids).map(([content, id]) => addedToken(Number(id), { content, special: specials.has(content) }));
  return tokens.sort((left, right) => (left.id ?? 0) - (right.id ?? 0));
}

function addedToken(id: number | null, token: Json): AddedTokenSpec {
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
