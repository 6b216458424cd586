// Python environments for what only Python has: made under .venv/ with just what a requirements file names, and made again when it changes.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { guarded } from "../../../bench/tools/child-guard.js";

interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** After which it is ended, which counts as a failure. */
  readonly timeoutMs?: number;
}

/** The exit code; output goes to this process's. */
export async function run(
  command: string,
  args: readonly string[],
  { env = {}, timeoutMs = 0 }: RunOptions = {},
): Promise<number> {
  const child = guarded(
    spawn(command, args, { stdio: "inherit", env: { ...process.env, ...env }, timeout: timeoutMs }),
  );
  const [code] = (await once(child, "exit")) as [number | null];
  return code ?? 1;
}

async function required(command: string, args: readonly string[]): Promise<void> {
  if ((await run(command, args)) !== 0) throw new Error(`failed: ${command} ${args.join(" ")}`);
}

/** The environment's folder of programs. */
export async function pythonEnvironment(name: string, requirements: string): Promise<string> {
  const folder = `.venv/${name}`;
  const programs = `${folder}/bin`;
  const stamp = `${folder}/requirements.txt`;
  const wanted = readFileSync(requirements, "utf8");
  if (readOrNull(stamp) === wanted) return programs;
  await required("python3", ["-m", "venv", "--clear", folder]);
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements];
  await required(`${programs}/python`, pip);
  writeFileSync(stamp, wanted);
  return programs;
}

function readOrNull(file: string): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return null;
  }
}
