// Python for scripts: commands that show what they say, and virtual environments under .venv/, made once for each requirements file.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";

interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** After which it is ended, which counts as a failure. */
  readonly timeoutMs?: number;
}

/** The exit code. */
export async function run(
  command: string,
  args: readonly string[],
  { env = {}, timeoutMs = 0 }: RunOptions = {},
): Promise<number> {
  const child = spawn(command, args, { stdio: "inherit", env: { ...process.env, ...env }, timeout: timeoutMs });
  const [code] = (await once(child, "exit")) as [number | null];
  return code ?? 1;
}

/** The folder of its commands, python among them, with just what the file names. */
export async function environment(name: string, requirements: string): Promise<string> {
  const folder = `.venv/${name}`;
  const bin = `${folder}/bin`;
  const stamp = `${folder}/requirements.txt`;
  const wanted = readFileSync(requirements, "utf8");
  if (readOrNull(stamp) === wanted) return bin;
  await required("python3", ["-m", "venv", "--clear", folder]);
  await required(`${bin}/python`, [
    "-m",
    "pip",
    "install",
    "--quiet",
    "--disable-pip-version-check",
    "-r",
    requirements,
  ]);
  writeFileSync(stamp, wanted);
  return bin;
}

async function required(command: string, args: readonly string[]): Promise<void> {
  if ((await run(command, args)) !== 0) throw new Error(`failed: ${command} ${args.join(" ")}`);
}

function readOrNull(file: string): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return null;
  }
}
