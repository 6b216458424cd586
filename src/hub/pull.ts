// A repository of the Hub becomes a folder of MODELS_DIR, all at once: its files gather in a hidden folder beside, which is renamed at the end.
//
//   .name.partial/ (files, name.part) ──all there──▶ name/ (with .pulled.json: from where, which commit, which dtype)
import { mkdir, readdir, readFile, rename, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { basename, join, relative, sep } from "node:path";
import { externalFiles, readModel } from "../inference/onnx/read-model.js";
import { filesToPull, isInside, type Wanted } from "./choose-files.js";
import { download, type Source } from "./download.js";
import { whileLocked } from "./pull-lock.js";
import { Hub, HubRefusal, type HubFile, type HubOptions, type Repository } from "./hub.js";

export interface PullOptions extends HubOptions {
  readonly modelsDir: string;
  /** owner/name, or the name alone of one without an owner. */
  readonly repository: string;
  readonly revision: string;
  readonly dtype: string;
  readonly device: string;
  readonly progress: PullProgress;
  /** Milliseconds before a broken connection is tried again; doubles. */
  readonly retryMs?: number;
}

/** Told of what happens. */
export interface PullProgress {
  /** So many files of so many bytes are to come. */
  begin(files: number, bytes: number): void;
  file(file: HubFile): void;
  bytes(count: number): void;
}

export interface Pulled {
  readonly name: string;
  readonly folder: string;
  readonly commit: string;
  readonly dtype: string;
  /** It was there already, of the same commit and dtype. */
  readonly wasThere: boolean;
}

const recordFile = ".pulled.json";

/** What a pulled folder is. */
export interface PullRecord {
  readonly repository: string;
  readonly commit: string;
  readonly dtype: string;
}

/** Throws one line; what came so far is kept for the next time. */
export async function pullModel(options: PullOptions): Promise<Pulled> {
  const { modelsDir, repository: asked, revision, dtype, device } = options;
  const name = folderName(asked);
  const folder = join(modelsDir, name);
  const record = await readRecord(folder);
  const isTaken = await isThere(folder);
  if (isTaken && record?.repository !== asked) throw taken(folder, record);
  const hub = new Hub(options);
  const repository = await hub.repository(asked, revision);
  const wanted = filesToPull(repository, dtype, device);
  const pulled = { name, folder, commit: repository.commit, dtype: wanted.dtype };
  if (isTaken) {
    if (record?.commit !== repository.commit || record.dtype !== wanted.dtype) throw taken(folder, record);
    return { ...pulled, wasThere: true };
  }
  await mkdir(modelsDir, { recursive: true });
  await whileLocked(join(modelsDir, `.${name}.pull`), () => fetchAll(options, hub, repository, wanted, folder));
  return { ...pulled, wasThere: false };
}

async function fetchAll(
  options: PullOptions,
  hub: Hub,
  repository: Repository,
  wanted: Wanted,
  folder: string,
): Promise<void> {
  const { modelsDir, progress } = options;
  const partial = join(modelsDir, `.${basename(folder)}.partial`);
  await mkdir(partial, { recursive: true });
  const retryMs = options.retryMs ?? 1000;
  await gather({ hub, repository, onBytes: (count) => progress.bytes(count), retryMs }, wanted, partial, progress);
  const made: PullRecord = { repository: options.repository, commit: repository.commit, dtype: wanted.dtype };
  await writeFile(join(partial, recordFile), `${JSON.stringify(made, null, 2)}\n`);
  await rename(partial, folder);
}

/** The folder that a repository becomes. Throws HubRefusal for what is no name of one. */
export function folderName(repository: string): string {
  const name = /^(?:[\w-][\w.-]*\/)?([\w-][\w.-]*)$/u.exec(repository)?.[1];
  if (name !== undefined && !repository.includes("..")) return name;
  throw new HubRefusal(`${JSON.stringify(repository)}: expected the name of a model on the Hub, as in owner/name`);
}

/** null for a folder that nobody pulled. */
export async function readRecord(folder: string): Promise<PullRecord | null> {
  const text = await readFile(join(folder, recordFile), "utf8").catch(() => null);
  try {
    return text === null ? null : (JSON.parse(text) as PullRecord);
  } catch {
    return null;
  }
}

async function gather(source: Source, { files }: Wanted, partial: string, progress: PullProgress): Promise<void> {
  progress.begin(files.length, total(files));
  for (const file of files) await one(source, file, partial, progress);
  const all = [...files, ...weightsBeside(source.repository, files, partial)];
  if (all.length > files.length) progress.begin(all.length, total(all));
  for (const file of all.slice(files.length)) await one(source, file, partial, progress);
  await dropOthers(partial, all);
}

async function one(source: Source, file: HubFile, partial: string, progress: PullProgress): Promise<void> {
  await download(source, file, partial);
  progress.file(file);
}

/** External data that only the graphs name. What the repository doesn't have, loading will miss by name. */
function weightsBeside({ files }: Repository, pulled: readonly HubFile[], partial: string): HubFile[] {
  const graphs = pulled.filter(({ path }) => path.endsWith(".onnx"));
  const named = graphs.flatMap(({ path }) => weightsOf(join(partial, path)));
  const paths = new Set(named.map((file) => relative(partial, file).split(sep).join("/")));
  return files.filter((file) => paths.has(file.path) && isInside(file.path) && !pulled.includes(file));
}

// What is no graph after all is for loading to complain about.
function weightsOf(graph: string): string[] {
  try {
    return externalFiles(readModel(graph));
  } catch {
    return [];
  }
}

/** Left by a pull of another commit or dtype. */
async function dropOthers(partial: string, files: readonly HubFile[]): Promise<void> {
  const known = new Set(files.map(({ path }) => path));
  const entries = await readdir(partial, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    const isStrange = entry.isFile() && !known.has(relative(partial, path).split(sep).join("/"));
    if (isStrange) await rm(path);
  }
  const folders = entries.filter((entry) => entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
  // Deepest first; one that still holds something stays.
  for (const path of folders.sort().toReversed()) await rmdir(path).catch(() => undefined);
}

function total(files: readonly HubFile[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}

function taken(folder: string, record: PullRecord | null): HubRefusal {
  const what = record === null ? "" : ` (${record.repository} at ${record.commit.slice(0, 12)}, ${record.dtype})`;
  return new HubRefusal(`${folder}: there is another model of that name already${what}: remove it first`);
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}
