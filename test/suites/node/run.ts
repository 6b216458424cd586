// npm run suite -- node 24 [--optional] [--all | --rest | test/path …]: tests on another Node, the one npm's registry has for this platform, kept under .cache/.
// The package `node` would fetch the same binary in an install script; scripts are off here, so its platform package is installed by name.
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import { isAbsent, nodePackage, readPlan } from "./plan.js";

/** The Node of that version, or null where the registry has none. */
function installedNode(version: string): string | null {
  const name = nodePackage(process.platform, process.arch);
  const folder = resolve(".cache", `node-${version}`);
  const binary = join(folder, "node_modules", name, "bin", process.platform === "win32" ? "node.exe" : "node");
  if (existsSync(binary)) return binary;
  mkdirSync(folder, { recursive: true });
  const options = ["--prefix", folder, "--no-save", "--no-package-lock", "--ignore-scripts", "--loglevel=error"];
  const npm = spawnSync("npm", ["install", ...options, `${name}@${version}`], { encoding: "utf8" });
  if (npm.status === 0) return binary;
  const said = `${npm.stdout ?? ""}${npm.stderr ?? ""}${npm.error?.message ?? ""}`;
  rmSync(folder, { recursive: true });
  if (isAbsent(said)) return null;
  throw new Error(`npm install ${name}@${version}: ${said.trim()}`);
}

async function testOn(node: string, runArguments: readonly string[]): Promise<number> {
  // Processes that tests start by name must be of the same Node.
  const env = { ...process.env, PATH: `${dirname(node)}${delimiter}${process.env["PATH"] ?? ""}` };
  const child = spawn(node, ["dist/test/run.js", ...runArguments], { stdio: "inherit", env });
  const [code] = (await once(child, "exit")) as [number | null];
  return code ?? 1;
}

async function main(): Promise<number> {
  const { version, isOptional, runArguments } = readPlan(process.argv.slice(2));
  const node = installedNode(version);
  if (node === null) {
    console.log(`the npm registry has no Node ${version} for ${process.platform}-${process.arch}`);
    return isOptional ? 0 : 1;
  }
  const { stdout } = spawnSync(node, ["--version"], { encoding: "utf8" });
  console.log(`tests on Node ${stdout.trim()}`);
  return testOn(node, runArguments);
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`node: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
