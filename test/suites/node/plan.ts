// What `npm run test:node` is asked for: which Node, which test files. Pure; run.ts gets that Node and runs them.

export interface Plan {
  /** As npm takes it behind "@": 24, 24.21 or 24.21.0. */
  readonly version: string;
  /** A Node that the registry doesn't have for this platform is passed over with a line. */
  readonly isOptional: boolean;
  /** Compiled test files. */
  readonly files: readonly string[];
}

/** What a new Node can break: threads and ONNX Runtime, sockets and streams, Redis, signals. About 70 s of CPU, a small part of the whole suite. */
export const shortPaths: readonly string[] = [
  "test/routes/app.test.ts",
  "test/unit/config/config.test.ts",
  "test/process/server/process.test.ts",
  "test/process/server/shipped.test.ts",
  "test/process/server/streams.test.ts",
  "test/unit/inference/catalog/slots.test.ts",
  "test/unit/inference/engine/begun.test.ts",
  "test/unit/inference/engine/decoding",
  "test/unit/inference/engine/fallback.test.ts",
  "test/unit/inference/engine/foreign-graphs.test.ts",
  "test/oracle/manifests.test.ts",
  "test/unit/inference/engine/models",
  "test/unit/queue",
  "test/contract",
  "test/process/redis",
  "test/routes/generations/durable-events.test.ts",
  "test/routes/generate.test.ts",
  "test/routes/page.test.ts",
  "test/routes/stream.test.ts",
];

const usage =
  "usage: npm run test:node -- <version> [--optional] [--short | test/path …], for example 24, 22 or 24.21.0";

/** Throws an Error of one line. `all` are the compiled test files there are. */
export function readPlan(args: readonly string[], all: readonly string[]): Plan {
  const [version = "", ...rest] = args;
  if (!/^\d{2}(\.\d{1,3}){0,2}$/u.test(version)) throw new Error(usage);
  const flags = new Set(rest.filter((argument) => argument.startsWith("--")));
  const paths = rest.filter((argument) => !argument.startsWith("--"));
  const isOptional = flags.delete("--optional");
  const isShort = flags.delete("--short");
  const [unknown] = flags;
  if (unknown !== undefined) throw new Error(`${unknown}: unknown; ${usage}`);
  if (isShort && paths.length > 0) throw new Error(`--short or paths, not both; ${usage}`);
  const wanted = isShort ? shortPaths : paths;
  return { version, isOptional, files: wanted.length === 0 ? all : filesOf(wanted, all) };
}

function filesOf(paths: readonly string[], all: readonly string[]): string[] {
  const chosen = new Set<string>();
  for (const path of paths) {
    const found = all.filter((file) => isAtOrBelow(file, compiled(path)));
    if (found.length === 0) throw new Error(`${path}: no test there`);
    for (const file of found) chosen.add(file);
  }
  return [...chosen].sort();
}

// test/queue, test/unit/queue/admission.test.ts and their places in dist/ alike.
function compiled(path: string): string {
  const source = path.replace(/^\.\//u, "").replace(/\/+$/u, "").replace(/\.ts$/u, ".js");
  return source.startsWith("dist/") ? source : `dist/${source}`;
}

function isAtOrBelow(file: string, path: string): boolean {
  return file === path || file.startsWith(`${path}/`);
}

/** npm's name of the package that holds Node's binary, as its package `node` chooses it. */
export function nodePackage(platform: string, architecture: string): string {
  const prefix = platform === "darwin" && architecture === "arm64" ? "node-bin" : "node";
  return `${prefix}-${platform === "win32" ? "win" : platform}-${architecture}`;
}

/** Whether npm failed as the registry has no such package, or no such version of it; anything else is a failure. */
export function isAbsent(npmOutput: string): boolean {
  return /\bcode (E404|ETARGET)\b/u.test(npmOutput);
}
