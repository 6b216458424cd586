// One file of a repository onto the disk: goes on where an earlier try stopped, and is there only when its checksum is right.
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
  /** So many more bytes are here; negative when some were of no use. */
  readonly onBytes: (count: number) => void;
  /** Before the first new try of those in a row. */
  readonly retryMs: number;
}

/** Tries in a row without one new byte. */
const maxTries = 5;

/** Throws one line. What came so far stays for the next time. */
export async function download(source: Source, file: HubFile, folder: string): Promise<void> {
  const path = join(folder, file.path);
  await mkdir(dirname(path), { recursive: true });
  if (await isWhole(path, file)) return source.onBytes(file.bytes);
  const part = `${path}.part`;
  const isFresh = !(await isThere(part));
  if (!(await completed(source, file, part))) {
    // An old part may be of another commit: once more from the start.
    if (isFresh || !(await completed(source, file, part)))
      throw new Error(
        `${source.repository.name}: ${file.path}: the wrong checksum came (${file.checksum.kind}): try again`,
      );
  }
  await rename(part, path);
}

/** False: the checksum is wrong, and the part is gone. */
async function completed(source: Source, file: HubFile, part: string): Promise<boolean> {
  const hash = startedHash(file);
  const handle = await open(part, "a");
  try {
    const start = await hashFile(part, hash);
    source.onBytes(start);
    const end = await appended(source, file, { handle, hash, at: start });
    await handle.sync();
    if (end === file.bytes && hash.digest("hex") === file.checksum.hex) return true;
    source.onBytes(-end);
  } finally {
    await handle.close();
  }
  await rm(part);
  return false;
}

interface Growing {
  readonly handle: FileHandle;
  readonly hash: Hash;
  at: number;
}

async function appended(source: Source, file: HubFile, growing: Growing): Promise<number> {
  let tries = 0;
  while (growing.at < file.bytes) {
    const before = growing.at;
    const fault = await receive(source, file, growing).catch((error: unknown) => error);
    if (fault === undefined && growing.at >= file.bytes) break;
    if (fault instanceof HubRefusal) throw fault;
    tries = growing.at > before ? 0 : tries + 1;
    if (tries >= maxTries) throw new Error(`${source.repository.name}: ${file.path}: ${reasonOf(fault)}`);
    await sleep(source.retryMs * 2 ** tries);
  }
  return growing.at;
}

async function receive({ hub, repository, onBytes }: Source, file: HubFile, growing: Growing): Promise<undefined> {
  for await (const bytes of hub.bytes(repository, file, growing.at)) {
    await growing.handle.write(bytes);
    growing.hash.update(bytes);
    growing.at += bytes.length;
    onBytes(bytes.length);
  }
}

function reasonOf(fault: unknown): string {
  if (fault === undefined) return "the connection ends too early";
  return fault instanceof Error ? fault.message : String(fault);
}

async function isWhole(path: string, file: HubFile): Promise<boolean> {
  if (!(await isThere(path))) return false;
  const hash = startedHash(file);
  const bytes = await hashFile(path, hash);
  return bytes === file.bytes && hash.digest("hex") === file.checksum.hex;
}

function startedHash({ checksum, bytes }: { checksum: Checksum; bytes: number }): Hash {
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
