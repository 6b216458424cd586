// What `npm run suite -- node` is asked for: which Node, and what test/run.ts shall run on it. Pure; run.ts gets that Node.

export interface Plan {
  /** As npm takes it behind "@": 24, 24.21 or 24.21.0. */
  readonly version: string;
  /** A Node that the registry doesn't have for this platform is passed over with a line. */
  readonly isOptional: boolean;
  /** Of test/run.ts: --all, --rest or paths; none of them means what `npm test` runs. */
  readonly runArguments: readonly string[];
}

const usage =
  "usage: npm run suite -- node <version> [--optional] [--all | --rest | test/path …], for example 24, 22 or 24.21.0";

/** Throws an Error of one line. */
export function readPlan([version = "", ...rest]: readonly string[]): Plan {
  if (!/^\d{2}(\.\d{1,3}){0,2}$/u.test(version)) throw new Error(usage);
  const unknown = rest.find((argument) => /^--(?!optional$|all$|rest$)/u.test(argument));
  if (unknown !== undefined) throw new Error(`${unknown}: unknown; ${usage}`);
  return {
    version,
    isOptional: rest.includes("--optional"),
    runArguments: rest.filter((argument) => argument !== "--optional"),
  };
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
