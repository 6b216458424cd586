// One pull of a model at a time: two processes that start with the same MODEL and MODELS_DIR would write into the same files.
import { readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { HubRefusal } from "./hub.js";

const beatMs = 5000;
/** A holder on another machine that was not heard of for so long is gone. */
const silentMs = 60_000;

interface Holder {
  readonly host: string;
  readonly pid: number;
}

/** Runs while the lock file is held. Throws HubRefusal when another process that lives holds it. */
export async function whileLocked<T>(file: string, work: () => Promise<T>): Promise<T> {
  await take(file);
  const beat = setInterval(() => void utimes(file, new Date(), new Date()).catch(() => undefined), beatMs);
  try {
    return await work();
  } finally {
    clearInterval(beat);
    await rm(file, { force: true });
  }
}

async function take(file: string): Promise<void> {
  if (await isWritten(file)) return;
  const holder = await holderOf(file);
  if (holder !== null && (await isAlive(holder, file)))
    throw new HubRefusal(`${file}: process ${holder.pid} on ${holder.host} is pulling this model: wait for it`);
  await rm(file, { force: true });
  if (!(await isWritten(file))) throw new HubRefusal(`${file}: another process began to pull this model just now`);
}

async function isWritten(file: string): Promise<boolean> {
  const holder: Holder = { host: hostname(), pid: process.pid };
  return writeFile(file, JSON.stringify(holder), { flag: "wx" }).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === "EEXIST") return false;
      throw error;
    },
  );
}

async function holderOf(file: string): Promise<Holder | null> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as Holder;
  } catch {
    return null;
  }
}

// Our own id in a lock that we did not write is a container's that ended: its successor has the same.
async function isAlive({ host, pid }: Holder, file: string): Promise<boolean> {
  const found = await stat(file).catch(() => null);
  if (found === null || Date.now() - found.mtimeMs > silentMs) return false;
  if (host !== hostname()) return true;
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
