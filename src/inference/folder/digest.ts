// The digest of a model folder: which model it is, whatever DEVICE and DTYPE make of it. Two processes that agree on it read the same files.
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, realpath, stat } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import type { FolderPlan } from "./folder.js";
import { namedFiles } from "./folder-survey.js";

/** Weights of other frameworks, pictures and papers: never read here. */
const otherFormats = /\.(md|png|jpe?g|gif|svg|webp|pdf|ipynb|py|safetensors|h5|msgpack|ot)$/iu;
const papers = /^(readme|licen[sc]e|notice|copying|changelog|citation|sha256sums)/iu;

/**
 * SHA-256, hexadecimal, over the sorted relative names, sizes and contents of all files but papers and other frameworks' weights: graphs of every dtype,
 * their external data (which may have any name), tokenizers, vocabularies, configs, manifest. Hidden files count where the manifest names them as vocabulary or
 * tokenizer.
 */
export async function folderDigest({ folder, manifest }: Pick<FolderPlan, "folder" | "manifest">): Promise<string> {
  const named = namedFiles(folder, manifest).map((path) => relative(folder, path).replaceAll(sep, "/"));
  const found = [...(await filesBelow(folder, "", new Set())), ...named];
  const names = [...new Set(found)].sort((a, b) => (a < b ? -1 : 1));
  const hash = createHash("sha256");
  for (const name of names) await addFile(hash, folder, name);
  return hash.digest("hex");
}

async function filesBelow(folder: string, under: string, seen: Set<string>): Promise<string[]> {
  const real = await realpath(join(folder, under));
  if (seen.has(real)) return [];
  seen.add(real);
  const names = await readdir(real);
  const found: string[] = [];
  for (const name of names) {
    if (name.startsWith(".") || otherFormats.test(name) || papers.test(name)) continue;
    const path = under === "" ? name : `${under}/${name}`;
    const entry = await stat(join(folder, path));
    if (entry.isDirectory()) found.push(...(await filesBelow(folder, path, seen)));
    else if (entry.isFile()) found.push(path);
  }
  return found;
}

// The size between name and content: no two folders give the same bytes.
async function addFile(hash: Hash, folder: string, name: string): Promise<void> {
  const path = join(folder, name);
  hash.update(`${name}\0${(await stat(path)).size}\0`);
  for await (const part of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(part as Buffer);
}
