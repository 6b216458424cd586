// How commands speak: results on standard output, notes on standard error, and a reader that left is no fault.

/** Whoever read standard output has gone (`| head`): nothing is left to do, and nothing went wrong. */
export class ReaderLeft extends Error {
  override readonly name = "ReaderLeft";
}

let isHeard = false;

/** Waits while the reader is slow. Throws ReaderLeft. */
export async function print(text: string): Promise<void> {
  const { stdout } = process;
  // Each write tells of its own fault.
  if (!isHeard) stdout.on("error", () => undefined);
  isHeard = true;
  await new Promise<void>((resolve, reject) => {
    stdout.write(text, (error) => {
      if (error === null || error === undefined) resolve();
      else reject((error as NodeJS.ErrnoException).code === "EPIPE" ? new ReaderLeft() : error);
    });
  });
}

/** A note for the person who waits; nothing where nobody looks on. */
export function note(line: string): void {
  if (process.stderr.isTTY) process.stderr.write(`${line}\n`);
}

const units = ["bytes", "KB", "MB", "GB"];

/** 1,234,567 → 1.2 MB */
export function size(bytes: number): string {
  const power = bytes < 1000 ? 0 : Math.min(3, Math.floor(Math.log10(bytes) / 3));
  return `${power === 0 ? bytes : (bytes / 1000 ** power).toFixed(1)} ${units[power]}`;
}
