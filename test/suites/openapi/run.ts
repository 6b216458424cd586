// npm run suite -- openapi: Schemathesis draws requests from the document that a real server serves, and holds the answers against it.
//
//   open server   every phase: examples, the bounds of every field, random requests, chains (start, look up, read, cancel)
//   with keys     by two users: nothing is had without a key, and nobody sees the other's generations
//
// The seed is fixed. Fails on any finding, and when an operation never once did what it is for: then nothing was tested of it.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { startServer } from "../../../bench/tools/server-process.js";
import { pythonEnvironment, run } from "../../support/python/environment.js";

const bin = await pythonEnvironment("openapi", "test/suites/python/requirements-openapi.txt");
const folder = mkdtempSync(join(tmpdir(), "seqserve-openapi-"));
const modelsDir = join(folder, "models");
// The shipped models, and one with languages: without it nobody could translate.
for (const model of ["models/g2p-en", "models/itn-en", "test/zoo/nllb"]) {
  cpSync(model, join(modelsDir, basename(model)), { recursive: true });
}

const users = { first: "key-of-the-first", second: "key-of-the-second" };
const usersFile = join(folder, "users.json");
const auth = Object.entries(users).map(([name, key]) => {
  return { name, fixedHeaders: [{ name: "Authorization", value: `Bearer ${key}` }] };
});
writeFileSync(usersFile, JSON.stringify({ auth }));

// An idle machine takes half of it.
const longestPassMs = 240_000;

interface Pass {
  readonly name: string;
  readonly server: Readonly<Record<string, string>>;
  /** Besides schemathesis.toml. */
  readonly settings: string;
  readonly args: readonly string[];
}

const passes: readonly Pass[] = [
  {
    name: "open",
    server: {},
    settings: "",
    args: ["--phases", "examples,coverage,fuzzing,stateful", "--max-examples", "10"],
  },
  {
    name: "with keys",
    server: { API_KEYS: Object.values(users).join(",") },
    settings: `\n[auth.wfc]\npath = ${JSON.stringify(usersFile)}\npeers = ${JSON.stringify(Object.keys(users))}\n`,
    args: ["--phases", "examples,fuzzing,stateful", "--max-examples", "5"],
  },
];

try {
  const faults: string[] = [];
  for (const pass of passes) faults.push(...(await faultsOf(pass)));
  for (const fault of faults) console.error(fault);
  process.exitCode = faults.length === 0 ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true });
}

// All checks but use_after_free: DELETE /generations/{id} cancels, and what was generated so far stays readable, as its description says.
async function faultsOf({ name, server: settings, settings: more, args }: Pass): Promise<string[]> {
  console.log(`== ${name}`);
  const server = await startServer({
    MODELS_DIR: modelsDir,
    LANGUAGE_DETECTOR: "eld",
    LOG_LEVEL: "fatal",
    ...settings,
  });
  try {
    const file = join(folder, "schemathesis.toml");
    writeFileSync(file, readFileSync("test/suites/openapi/schemathesis.toml", "utf8") + more);
    const checks = ["--checks", "all", "--exclude-checks", "use_after_free"];
    const common = ["run", `${server.url}/openapi.json`, ...checks, "--seed", "1"];
    const code = await run(`${bin}/st`, ["--config-file", file, ...common, ...args], { timeoutMs: longestPassMs });
    const idle = (await idleOperations(server.url)).map(
      (operation) => `${name}: ${operation} never did what it is for`,
    );
    return code === 0 ? idle : [`${name}: Schemathesis ended with ${code}`, ...idle];
  } finally {
    await server.stop();
  }
}

/** Operations of the document that the server counted no success of. */
async function idleOperations(url: string): Promise<string[]> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  const done = new Set(
    [...metrics.matchAll(/^seqserve_http_request_duration_seconds_count\{(?<labels>.*)\}/gmu)].flatMap(({ groups }) => {
      const label = (name: string) => new RegExp(`${name}="([^"]*)"`, "u").exec(groups?.["labels"] ?? "")?.[1] ?? "";
      return label("status_class") === "2xx" ? [`${label("method")} ${label("route")}`] : [];
    }),
  );
  const { paths } = (await (await fetch(`${url}/openapi.json`)).json()) as { paths: Record<string, object> };
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods)
      .map((method) => `${method.toUpperCase()} ${path.replaceAll(/\{(\w+)\}/gu, ":$1")}`)
      .filter((operation) => !done.has(operation)),
  );
}
