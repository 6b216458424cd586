// The `seqserve` command as a child process: what it says, where, and its exit code.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { guarded } from "../../../bench/tools/child-guard.js";

export interface Ended {
  readonly out: string;
  readonly err: string;
  readonly code: number | null;
}

const bin = new URL("../../../../bin/seqserve.js", import.meta.url).pathname;

/** Starts `bin/seqserve.js`; nothing of this process's environment reaches it but PATH. */
export function startCommand(args: readonly string[], environment: Record<string, string> = {}) {
  const env = { PATH: process.env["PATH"] ?? "", ...environment };
  const child = guarded(spawn(process.execPath, [bin, ...args], { env }));
  const seen = { out: "", err: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => (seen.out += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (seen.err += text));
  const ended = once(child, "close").then(([code]): Ended => ({ ...seen, code: code as number | null }));
  return { child, seen, ended };
}

/** Runs it to its end, with `input` on standard input. */
export function runCommand(
  args: readonly string[],
  environment: Record<string, string> = {},
  input = "",
): Promise<Ended> {
  const { child, ended } = startCommand(args, environment);
  child.stdin.end(input);
  return ended;
}
