// How commands speak: results on standard output, notes on standard error, and a reader that left is no fault.
import { once } from "node:events";

/** Waits while the reader is slow. A pipe that was closed (`| head`) ends the process quietly. */
export async function print(text: string): Promise<void> {
  endQuietlyWhenLeft();
  if (!process.stdout.write(text)) await once(process.stdout, "drain");
}

/** A note for the person who waits; nothing where nobody looks on. */
export function note(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`${line}\n`);
}

let isWatched = false;

function endQuietlyWhenLeft(): void {
  if (isWatched) return;
  isWatched = true;
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    process.exit(error.code === "EPIPE" ? 0 : 1);
  });
}

const units = ["bytes", "KB", "MB", "GB"];

/** 1,234,567 → 1.2 MB */
export function size(bytes: number): string {
  const power = bytes < 1000 ? 0 : Math.min(3, Math.floor(Math.log10(bytes) / 3));
  return `${power === 0 ? bytes : (bytes / 1000 ** power).toFixed(1)} ${units[power]}`;
}
