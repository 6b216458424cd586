// What lies in a model folder, looked at before anything in it is opened: real files only (a pipe would block the process for ever),
// none of them outside MODELS_DIR. Used by the catalog's slots.
import { lstat, readdir, realpath, stat } from "node:fs/promises";
import type { Stats } from "node:fs";
import { isAbsolute, join, relative, resolve, sep } from "node:path";
import type { Manifest } from "./manifest.js";

const maxEntries = 10_000;
const maxDepth = 8;
const maxJsonBytes = 256 << 20;

/** Names that are opened as files wherever they lie. */
const opened = /\.(onnx|json|model|spm)$/u;

/** Throws one line that names the entry at fault. Hidden entries are not looked at: nothing reads them unless a manifest names them. */
export async function surveyFolder(folder: string, modelsDir: string): Promise<void> {
  const survey: Survey = { root: await realpath(modelsDir), seen: new Set(), left: maxEntries };
  await surveyTree(folder, survey, 0);
}

/** Files that are named in the manifest or chosen by name, wherever in the folder they lie. */
export async function surveyFiles(files: readonly string[], modelsDir: string): Promise<void> {
  const root = await realpath(modelsDir);
  for (const path of files) checkFile(path, await entryInside(path, root));
}

/** Throws for a path of the manifest that leads out of the folder; the vocabularies and tokenizers that it names. */
export function namedFiles(folder: string, { encoder, decoder, source, target }: Manifest): string[] {
  for (const [field, name] of [
    ["encoder.file", encoder?.file],
    ["decoder.file", decoder?.file],
  ] as const) {
    if (typeof name === "string") insideFolder(folder, field, name);
  }
  return Object.entries({ source, target }).flatMap(([side, fields]) =>
    (["vocab", "tokenizer"] as const).flatMap((field) => {
      const name = fields?.[field];
      return typeof name === "string" ? [insideFolder(folder, `${side}.${field}`, name.replace(/#.*$/u, ""))] : [];
    }),
  );
}

interface Survey {
  /** Real path of MODELS_DIR. */
  readonly root: string;
  readonly seen: Set<string>;
  left: number;
}

async function surveyTree(path: string, survey: Survey, depth: number): Promise<void> {
  const entry = await entryInside(path, survey.root, depth === 0 ? folderHint : "");
  if (!entry.isDirectory()) return opened.test(path) ? checkFile(path, entry) : checkKind(path, entry);
  if (depth > 0 && opened.test(path)) throw new Error(`${path}: expected a file, found a folder`);
  const real = await realpath(path);
  if (survey.seen.has(real)) return;
  survey.seen.add(real);
  if (depth > maxDepth) throw new Error(`${path}: folders are nested more than ${maxDepth} deep`);
  const names = (await readdir(path)).filter((name) => !name.startsWith("."));
  survey.left -= names.length;
  if (survey.left < 0) throw new Error(`${path}: more than ${maxEntries} files in one model folder`);
  for (const name of names) await surveyTree(join(path, name), survey, depth + 1);
}

/** For the model's folder itself, which people do link. */
const folderHint =
  ": put the folder itself there (copied, moved or mounted), or let MODELS_DIR be the folder that it really lies in";

async function entryInside(path: string, root: string, hint = ""): Promise<Stats> {
  const found = await lstat(path).catch(() => null);
  if (found === null) throw new Error(`${path}: the file is not there`);
  const real = await realpath(path).catch(() => null);
  if (real === null) throw new Error(`${path}: a link to nothing`);
  if (!isInside(root, real)) throw new Error(`${path}: a link out of MODELS_DIR (to ${real})${hint}`);
  return stat(path);
}

function checkFile(path: string, entry: Stats): void {
  checkKind(path, entry);
  if (entry.isDirectory()) throw new Error(`${path}: expected a file, found a folder`);
  if (entry.size === 0) throw new Error(`${path}: the file is empty`);
  if (path.endsWith(".json") && entry.size > maxJsonBytes)
    throw new Error(`${path}: ${entry.size} bytes, larger than ${maxJsonBytes}`);
}

function checkKind(path: string, entry: Stats): void {
  if (entry.isFile() || entry.isDirectory()) return;
  const kind = entry.isFIFO() ? "a pipe" : entry.isSocket() ? "a socket" : "a device";
  throw new Error(`${path}: expected a file, found ${kind}`);
}

function insideFolder(folder: string, field: string, name: string): string {
  const path = resolve(folder, name);
  if (!isAbsolute(name) && isInside(resolve(folder), path)) return path;
  throw new Error(`${folder}: seqserve.json: ${field}: ${JSON.stringify(name)} lies outside the model's folder`);
}

function isInside(root: string, path: string): boolean {
  const way = relative(root, path);
  return way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}
