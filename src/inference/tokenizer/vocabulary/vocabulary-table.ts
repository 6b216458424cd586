// Vocabulary files of recurrent models: symbols and their ids. Lists (one symbol a line), JSON arrays, JSON maps, a part of a JSON file.
import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** Symbols by id; ids need not start at 0 nor be dense. */
export interface VocabularyTable {
  readonly ids: ReadonlyMap<string, number>;
  readonly symbols: ReadonlyMap<number, string>;
  /** Largest id + 1. */
  readonly size: number;
}

/**
 * Reads `vocab` of the manifest: an inline array, a list file, a JSON file, or "file.json#key" for one value of it.
 * Throws one line that names the file and what is wrong with it.
 */
export async function readVocabulary(folder: string, vocab: string | readonly string[]): Promise<VocabularyTable> {
  if (typeof vocab !== "string") return tableFromList(vocab, `${folder}: the inline vocabulary`);
  const [file = "", key] = vocab.split("#", 2);
  const path = join(folder, file);
  const text = await readFile(path, "utf8").catch((error: Error) => {
    throw new Error(`${path}: the vocabulary cannot be read: ${error.message}`, { cause: error });
  });
  if (!file.endsWith(".json")) return tableFromList(symbolLines(text), path);
  return tableFromJson(partOf(parseJson(text, path), key, path), path);
}

/** One symbol a line, id = line number. An empty line (or null) is an id without a symbol. Throws for a symbol that stands twice. */
export function tableFromList(symbols: readonly (string | null)[], origin: string): VocabularyTable {
  return makeTable(
    symbols.flatMap((symbol, id): [string, number][] => (symbol === null || symbol === "" ? [] : [[symbol, id]])),
    symbols.length,
    origin,
  );
}

/** A JSON array of symbols, a map symbol → id, or (Keras' index_word) a map id → symbol. */
export function tableFromJson(value: unknown, origin: string): VocabularyTable {
  if (Array.isArray(value))
    return tableFromList(
      value.map((symbol) => (symbol === null ? null : String(symbol))),
      origin,
    );
  if (typeof value !== "object" || value === null) throw new Error(`${origin}: expected an array or a map of symbols`);
  const entries = Object.entries(value);
  const isReversed = entries.every(([key, symbol]) => typeof symbol === "string" && /^\d+$/u.test(key));
  const pairs = entries.map(([key, other]): [string, unknown] =>
    isReversed ? [other as string, Number(key)] : [key, other],
  );
  return makeTable(
    pairs.map(([symbol, id]) => [symbol, checkId(symbol, id, origin)]),
    0,
    origin,
  );
}

/** Lines of a list file; \n, \t and \r as a whole line stand for these characters. */
export function symbolLines(text: string): string[] {
  const lines = text
    .replace(/^\uFEFF/u, "")
    .split("\n")
    .map((line) => line.replace(/\r$/u, ""));
  if (lines.at(-1) === "") lines.pop();
  return lines.map((line) => escapes.get(line) ?? line);
}

const escapes = new Map([
  ["\\n", "\n"],
  ["\\t", "\t"],
  ["\\r", "\r"],
]);

function makeTable(pairs: readonly (readonly [string, number])[], leastSize: number, origin: string): VocabularyTable {
  const ids = new Map<string, number>();
  const symbols = new Map<number, string>();
  let size = leastSize;
  for (const [symbol, id] of pairs) {
    const [first, other] = [ids.get(symbol), symbols.get(id)];
    if (first !== undefined)
      throw new Error(`${origin}: the symbol ${JSON.stringify(symbol)} stands twice (ids ${first} and ${id})`);
    if (other !== undefined)
      throw new Error(`${origin}: id ${id} has two symbols, ${JSON.stringify(other)} and ${JSON.stringify(symbol)}`);
    ids.set(symbol, id);
    symbols.set(id, symbol);
    size = Math.max(size, id + 1);
  }
  if (ids.size === 0) throw new Error(`${origin}: the vocabulary has no symbols`);
  return { ids, symbols, size };
}

function checkId(symbol: string, id: unknown, origin: string): number {
  if (typeof id === "number" && Number.isInteger(id) && id >= 0) return id;
  throw new Error(`${origin}: ${JSON.stringify(symbol)}: expected an id (0, 1, …), found ${JSON.stringify(id)}`);
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Error(`${path}: not JSON: ${(error as Error).message}`, { cause: error });
  }
}

function partOf(value: unknown, key: string | undefined, path: string): unknown {
  if (key === undefined) return value;
  if (typeof value === "object" && value !== null && Object.hasOwn(value, key))
    return (value as Record<string, unknown>)[key];
  throw new Error(`${path}: expected the key "${key}"`);
}
