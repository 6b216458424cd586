// A repository of the Hub becomes a folder of MODELS_DIR, all at once: its files are downloaded into a hidden folder beside it, which is renamed at the end.
//
//   .name.partial/ (files, name.part) ──all there──▶ name/ (with .pulled.json: from where, which commit, which dtype)
import { mkdir, readdir, readFile, rename, rm, rmdir, stat, writeFile } from "node:fs/promises";
import { basename, join, relative, sep } from "node:path";
import { externalFiles, readModel } from "../inference/onnx/read-model.js";
import { chooseFiles, isInside, type ChosenFiles } from "./choose-files.js";
import { download, type Source } from "./download.js";
import { withPullLock } from "./pull-lock.js";
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

/** Called as a pull proceeds. */
export interface PullProgress {
  /** How many files and bytes are to come; called again when graphs name more files. */
  start(files: number, bytes: number): void;
  fileDone(file: HubFile): void;
  bytesDone(count: number): void;
}

export interface PulledModel {
  readonly name: string;
  readonly folder: string;
  readonly commit: string;
  readonly dtype: string;
  /** Nothing was downloaded: the folder holds this commit and dtype already. */
  readonly wasPresent: boolean;
}

const recordFile = ".pulled.json";

/** What a pulled folder is. */
export interface PullRecord {
  readonly repository: string;
  readonly commit: string;
  readonly dtype: string;
}

/** Throws one line; what was downloaded so far stays for the next try. */
export async function pullModel(options: PullOptions): Promise<PulledModel> {
  const { modelsDir, repository: asked, revision, dtype, device } = options;
  const name = folderName(asked);
  const folder = join(modelsDir, name);
  const record = await readRecord(folder);
  const isTaken = await isThere(folder);
  if (isTaken && record?.repository !== asked) throw nameTaken(folder, record);
  const hub = new Hub(options);
  const repository = await hub.repository(asked, revision);
  const wanted = chooseFiles(repository, dtype, device);
  const pulled = { name, folder, commit: repository.commit, dtype: wanted.dtype };
  if (isTaken) {
    if (record?.commit !== repository.commit || record.dtype !== wanted.dtype) throw nameTaken(folder, record);
    return { ...pulled, wasPresent: true };
  }
  await mkdir(modelsDir, { recursive: true });
  await withPullLock(join(modelsDir, `.${name}.pull`), () => fetchAll(options, hub, repository, wanted, folder));
  return { ...pulled, wasPresent: false };
}

async function fetchAll(
  options: PullOptions,
  hub: Hub,
  repository: Repository,
  wanted: ChosenFiles,
  folder: string,
): Promise<void> {
  const { modelsDir, progress } = options;
  const partial = join(modelsDir, `.${basename(folder)}.partial`);
  await mkdir(partial, { recursive: true });
  const retryMs = options.retryMs ?? 1000;
  await downloadFiles(
    { hub, repository, onBytes: (count) => progress.bytesDone(count), retryMs },
    wanted,
    partial,
    progress,
  );
  const newRecord: PullRecord = { repository: options.repository, commit: repository.commit, dtype: wanted.dtype };
  await writeFile(join(partial, recordFile), `${JSON.stringify(newRecord, null, 2)}\n`);
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

async function downloadFiles(
  source: Source,
  { files }: ChosenFiles,
  partial: string,
  progress: PullProgress,
): Promise<void> {
  progress.start(files.length, totalBytes(files));
  for (const file of files) await downloadOne(source, file, partial, progress);
  const all = [...files, ...externalWeights(source.repository, files, partial)];
  if (all.length > files.length) progress.start(all.length, totalBytes(all));
  for (const file of all.slice(files.length)) await downloadOne(source, file, partial, progress);
  await removeOtherFiles(partial, all);
}

async function downloadOne(source: Source, file: HubFile, partial: string, progress: PullProgress): Promise<void> {
  await download(source, file, partial);
  progress.fileDone(file);
}

/** External data that only the graphs name. A file that the repository lacks is named when the model is loaded. */
function externalWeights({ files }: Repository, pulled: readonly HubFile[], partial: string): HubFile[] {
  const graphs = pulled.filter(({ path }) => path.endsWith(".onnx"));
  const external = graphs.flatMap(({ path }) => externalPaths(join(partial, path)));
  const paths = new Set(external.map((file) => relative(partial, file).split(sep).join("/")));
  return files.filter((file) => paths.has(file.path) && isInside(file.path) && !pulled.includes(file));
}

// A file that is no graph is refused when the model is loaded, with a better message than here.
function externalPaths(graph: string): string[] {
  try {
    return externalFiles(readModel(graph));
  } catch {
    return [];
  }
}

/** Removes what a pull of another commit or dtype left behind. */
async function removeOtherFiles(partial: string, files: readonly HubFile[]): Promise<void> {
  const expected = new Set(files.map(({ path }) => path));
  const entries = await readdir(partial, { recursive: true, withFileTypes: true });
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name);
    const isOther = entry.isFile() && !expected.has(relative(partial, path).split(sep).join("/"));
    if (isOther) await rm(path);
  }
  const folders = entries.filter((entry) => entry.isDirectory()).map((entry) => join(entry.parentPath, entry.name));
  // Deepest first; one that still holds something stays.
  for (const path of folders.sort().toReversed()) await rmdir(path).catch(() => undefined);
}

function totalBytes(files: readonly HubFile[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}

function nameTaken(folder: string, record: PullRecord | null): HubRefusal {
  const what = record === null ? "" : ` (${record.repository} at ${record.commit.slice(0, 12)}, ${record.dtype})`;
  return new HubRefusal(`${folder}: there is another model of that name already${what}: remove it first`);
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}
