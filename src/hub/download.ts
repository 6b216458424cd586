// Downloads one file of a repository: resumes where an earlier try stopped, and gives the file its name only when the checksum is right.
//
//   name.part (grows, by ranges) ──checksum──▶ name
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, rename, rm, stat, type FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { HubRefusal, type Checksum, type Hub, type HubFile, type Repository } from "./hub.js";

export interface Source {
  readonly hub: Hub;
  readonly repository: Repository;
  /** Bytes that came, or (negative) that turned out to be wrong. */
  readonly onBytes: (count: number) => void;
  /** Delay before the first retry; doubles with each further one. */
  readonly retryMs: number;
}

const maxTriesWithoutProgress = 5;

/** Throws one line; the part that came stays on the disk for the next try. */
export async function download(source: Source, file: HubFile, folder: string): Promise<void> {
  const path = join(folder, file.path);
  await mkdir(dirname(path), { recursive: true });
  if (await isWhole(path, file)) return source.onBytes(file.bytes);
  const part = `${path}.part`;
  const isFresh = !(await isThere(part));
  if (!(await completePart(source, file, part))) {
    // An old part may be of another commit: once more from the start.
    if (isFresh || !(await completePart(source, file, part)))
      throw new Error(
        `${source.repository.name}: ${file.path}: the wrong checksum came (${file.checksum.kind}): try again`,
      );
  }
  await rename(part, path);
}

/** Downloads what the part lacks. False: the checksum is wrong, and the part is deleted. */
async function completePart(source: Source, file: HubFile, part: string): Promise<boolean> {
  const hash = startHash(file);
  const handle = await open(part, "a");
  try {
    const start = await hashFile(part, hash);
    source.onBytes(start);
    const end = await appendRest(source, file, { handle, hash, size: start });
    await handle.sync();
    if (end === file.bytes && hash.digest("hex") === file.checksum.hex) return true;
    source.onBytes(-end);
  } finally {
    await handle.close();
  }
  await rm(part);
  return false;
}

interface PartFile {
  readonly handle: FileHandle;
  readonly hash: Hash;
  size: number;
}

async function appendRest(source: Source, file: HubFile, partFile: PartFile): Promise<number> {
  let tries = 0;
  while (partFile.size < file.bytes) {
    const before = partFile.size;
    const fault = await receive(source, file, partFile).catch((error: unknown) => error);
    if (fault === undefined && partFile.size >= file.bytes) break;
    if (fault instanceof HubRefusal) throw fault;
    tries = partFile.size > before ? 0 : tries + 1;
    if (tries >= maxTriesWithoutProgress)
      throw new Error(`${source.repository.name}: ${file.path}: ${reasonOf(fault)}`);
    await sleep(source.retryMs * 2 ** tries);
  }
  return partFile.size;
}

async function receive({ hub, repository, onBytes }: Source, file: HubFile, partFile: PartFile): Promise<undefined> {
  for await (const bytes of hub.bytes(repository, file, partFile.size)) {
    await partFile.handle.write(bytes);
    partFile.hash.update(bytes);
    partFile.size += bytes.length;
    onBytes(bytes.length);
  }
}

function reasonOf(fault: unknown): string {
  if (fault === undefined) return "the connection ends too early";
  return fault instanceof Error ? fault.message : String(fault);
}

async function isWhole(path: string, file: HubFile): Promise<boolean> {
  if (!(await isThere(path))) return false;
  const hash = startHash(file);
  const bytes = await hashFile(path, hash);
  return bytes === file.bytes && hash.digest("hex") === file.checksum.hex;
}

function startHash({ checksum, bytes }: { checksum: Checksum; bytes: number }): Hash {
  if (checksum.kind === "sha256") return createHash("sha256");
  return createHash("sha1").update(`blob ${bytes}\0`);
}

async function hashFile(path: string, hash: Hash): Promise<number> {
  let bytes = 0;
  for await (const part of createReadStream(path, { highWaterMark: 1 << 20 })) {
    hash.update(part as Buffer);
    bytes += (part as Buffer).length;
  }
  return bytes;
}

async function isThere(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}
