// How commands speak: results on standard output, notes on standard error, and a reader that left is no fault.

/** Whoever read standard output has gone (`| head`): nothing is left to do, and nothing went wrong. */
export class ReaderLeft extends Error {
  override readonly name = "ReaderLeft";
}

/** Where a command speaks to. Tests put their own in. */
export interface Output {
  /** Results. Waits while the reader is slow; throws ReaderLeft. */
  readonly print: (text: string) => Promise<void>;
  /** What is wrong. */
  readonly printError: (text: string) => void;
  /** A note for the person who waits; nothing where nobody looks on. */
  readonly note: (line: string) => void;
}

let hasErrorListener = false;

/** Waits while the reader is slow. Throws ReaderLeft. */
export async function print(text: string): Promise<void> {
  const { stdout } = process;
  // Each write hands its own error to its callback; without a listener the stream's event would end the process.
  if (!hasErrorListener) stdout.on("error", () => undefined);
  hasErrorListener = true;
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

export const terminal: Output = { print, printError: (text) => void process.stderr.write(text), note };

const units = ["bytes", "KB", "MB", "GB"];

/** 1,234,567 → 1.2 MB */
export function size(bytes: number): string {
  const power = bytes < 1000 ? 0 : Math.min(3, Math.floor(Math.log10(bytes) / 3));
  return `${power === 0 ? bytes : (bytes / 1000 ** power).toFixed(1)} ${units[power]}`;
}
