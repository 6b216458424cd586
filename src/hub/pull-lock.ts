// One pull of a model at a time: two processes that start with the same MODEL and MODELS_DIR would write into the same files.
import { readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { HubRefusal } from "./hub.js";

const renewMs = 5000;
/** A lock of another machine that was not renewed for this long is stale. */
const staleMs = 60_000;

interface Holder {
  readonly host: string;
  readonly pid: number;
}

/** Runs while the lock file is held. Throws HubRefusal when another process that lives holds it. */
export async function withPullLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  await acquire(file);
  const renewal = setInterval(() => void utimes(file, new Date(), new Date()).catch(() => undefined), renewMs);
  try {
    return await work();
  } finally {
    clearInterval(renewal);
    await rm(file, { force: true });
  }
}

async function acquire(file: string): Promise<void> {
  if (await createLockFile(file)) return;
  const holder = await readHolder(file);
  if (holder !== null && (await isAlive(holder, file)))
    throw new HubRefusal(`${file}: process ${holder.pid} on ${holder.host} is pulling this model: wait for it`);
  await rm(file, { force: true });
  if (!(await createLockFile(file))) throw new HubRefusal(`${file}: another process began to pull this model just now`);
}

async function createLockFile(file: string): Promise<boolean> {
  const holder: Holder = { host: hostname(), pid: process.pid };
  return writeFile(file, JSON.stringify(holder), { flag: "wx" }).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === "EEXIST") return false;
      throw error;
    },
  );
}

async function readHolder(file: string): Promise<Holder | null> {
  try {
    return JSON.parse(await readFile(file, "utf8")) as Holder;
  } catch {
    return null;
  }
}

// Our own id in a lock that we did not write is a container's that ended: its successor has the same.
async function isAlive({ host, pid }: Holder, file: string): Promise<boolean> {
  const found = await stat(file).catch(() => null);
  if (found === null || Date.now() - found.mtimeMs > staleMs) return false;
  if (host !== hostname()) return true;
  if (pid === process.pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
