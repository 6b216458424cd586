// Which test files run, and in which order. The folders say what a test needs.

/** Tests that start no process of their own, one after another in a few minutes. */
const fastFolders = ["test/unit", "test/contract", "test/routes"];

/** The slowest ones begin first: none of them is left running alone at the end. Others follow by name. */
const longestFirst = [
  "test/process/chaos",
  "test/process/cli/generate",
  "test/process/cli/check",
  "test/process/server/scale-out",
  "test/oracle/company",
  "test/oracle/many-models",
  "test/oracle/take-over",
  "test/oracle/broken-folders",
  "test/process/server/traces",
  "test/process/hub",
];

export type Tier = "fast" | "rest" | "all";

/** `compiled` are the test files below dist/. Throws where a path names none of them. */
export function chooseFiles(compiled: readonly string[], tier: Tier, paths: readonly string[]): readonly string[] {
  if (paths.length > 0) return inOrder([...new Set(paths.flatMap((path) => filesAt(compiled, path)))]);
  const isFast = (file: string) => fastFolders.some((folder) => isAtOrBelow(file, toCompiled(folder)));
  return inOrder(compiled.filter((file) => tier === "all" || isFast(file) === (tier === "fast")));
}

function filesAt(compiled: readonly string[], path: string): string[] {
  const found = compiled.filter((file) => isAtOrBelow(file, toCompiled(path)));
  if (found.length === 0) throw new Error(`${path}: no test there`);
  return found;
}

/** Source or compiled, file or folder: the path below dist/. */
function toCompiled(path: string): string {
  const file = path.replace(/^\.\//u, "").replace(/\/+$/u, "").replace(/\.ts$/u, ".js");
  return file.startsWith("dist/") ? file : `dist/${file}`;
}

function isAtOrBelow(file: string, path: string): boolean {
  return file === path || file === `${path}.test.js` || file.startsWith(`${path}/`);
}

function inOrder(files: readonly string[]): string[] {
  const place = (file: string) => {
    const found = longestFirst.findIndex((path) => isAtOrBelow(file, toCompiled(path)));
    return found === -1 ? longestFirst.length : found;
  };
  return [...files].sort((a, b) => place(a) - place(b) || a.localeCompare(b));
}
