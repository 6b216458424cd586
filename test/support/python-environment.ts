// Python environments of scripts that need some: made once for each requirements file, kept under .venv/.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";

export async function run(command: string, args: readonly string[], env: Record<string, string> = {}): Promise<number> {
  const child = spawn(command, args, { stdio: "inherit", env: { ...process.env, ...env } });
  const [code] = (await once(child, "exit")) as [number | null];
  return code ?? 1;
}

async function required(command: string, args: readonly string[]): Promise<void> {
  if ((await run(command, args)) !== 0) throw new Error(`failed: ${command} ${args.join(" ")}`);
}

/** The python of .venv/{name}, which is made anew when the file names other packages. */
export async function environment(name: string, requirements: string): Promise<string> {
  const folder = `.venv/${name}`;
  const python = `${folder}/bin/python`;
  const stamp = `${folder}/requirements.txt`;
  const wanted = readFileSync(requirements, "utf8");
  if (readOrNull(stamp) === wanted) return python;
  await required("python3", ["-m", "venv", "--clear", folder]);
  await required(python, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements]);
  writeFileSync(stamp, wanted);
  return python;
}

function readOrNull(file: string): string | null {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return null;
  }
}
