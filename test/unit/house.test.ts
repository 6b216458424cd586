// The house rules: who may import what, how large folders and files are, and that each file says what it is. Sizes of single
// functions are lint's (.oxlintrc.json).
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { parse } from "acorn";
import { full } from "acorn-walk";

/** The only files or folders of src/ that may import a library. Others that are not named here are free. */
const homes: Readonly<Record<string, readonly string[]>> = {
  fastify: ["app.ts", "routes/", "cli/write-documents.ts"],
  "@fastify/": ["app.ts", "routes/"],
  ajv: ["cli/generate.ts"],
  bullmq: ["queue/"],
  ioredis: ["queue/"],
  "lru-cache": ["queue/memory/"],
  "prom-client": ["telemetry/"],
  "@opentelemetry/": ["telemetry/tracing/otlp.ts"],
  "onnxruntime-node": ["inference/engine/models/onnx-session.ts"],
  "onnx-buf": ["inference/onnx/", "inference/engine/", "inference/folder/draft/"],
  "@bufbuild/": ["inference/onnx/", "inference/engine/", "inference/tokenizer/sentencepiece/model-file.ts"],
  tokenizers: ["inference/tokenizer/"],
  eld: ["routes/compatible/libretranslate/detector.ts"],
  "@huggingface/hub": ["hub/hub.ts"],
  "node:worker_threads": ["inference/host/engine-host.ts", "inference/engine/worker.ts"],
  "@grafana/": [],
};

/** What every folder may import: what stands above all layers and knows of none. */
const common = ["errors.ts", "generation.ts", "nearest.ts", "parameters.ts", "version.ts"];

/** What a folder may import besides itself and what is common, in the order of a request: imports only point to the right. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  "server.ts": ["cli", "config"],
  cli: ["app.ts", "wiring", "routes", "queue", "inference", "telemetry", "hub", "config"],
  "app.ts": ["wiring", "routes", "queue", "telemetry", "config"],
  wiring: ["routes", "queue", "inference", "telemetry", "config"],
  routes: ["queue", "inference", "telemetry", "config"],
  queue: ["inference", "telemetry"],
  inference: [],
  hub: ["inference"],
  telemetry: ["inference/protocol", "config"],
  config: [],
};

/** The same inside inference/. The engine runs in threads of its own: it knows integers and tensors, and nobody imports it. */
const insideInference: Readonly<Record<string, readonly string[]>> = {
  "inference.ts": ["request", "generation", "catalog", "host", "folder", "tokenizer", "protocol"],
  request: ["catalog", "tokenizer"],
  generation: ["catalog", "host", "tokenizer", "protocol"],
  catalog: ["host", "folder", "tokenizer", "protocol"],
  device: ["host"],
  host: ["protocol"],
  folder: ["tokenizer", "onnx", "protocol"],
  tokenizer: [],
  engine: ["onnx", "protocol"],
  onnx: [],
  protocol: [],
};

interface Import {
  readonly file: string;
  /** A path below src/, or a library's name. */
  readonly target: string;
}

function filesBelow(folder: string, ending: string): string[] {
  const entries = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return entries.filter((name) => name.endsWith(ending)).map((name) => join(folder, name));
}

const imports: readonly Import[] = filesBelow("src", ".ts").flatMap((path) => {
  const file = path.slice("src/".length);
  return [...readFileSync(path, "utf8").matchAll(/(?:\bfrom|\bimport)[\s(]*"([^"]+)"/gu)].map(([, name = ""]) => ({
    file,
    target: name.startsWith(".") ? normalize(join(dirname(file), name.replace(/\.js$/u, ".ts"))) : name,
  }));
});
const isLibrary = ({ target }: Import) => !target.endsWith(".ts");
const isBelow = (file: string, place: string) => file === place || file.startsWith(`${place.replace(/\/$/u, "")}/`);
const shown = ({ file, target }: Import) => `${file} imports ${target}`;

test("each library has one home", () => {
  const outside = imports.filter(isLibrary).filter(({ file, target }) => {
    const home = Object.entries(homes).find(([name]) =>
      name.endsWith("/") ? target.startsWith(name) : isBelow(target, name),
    );
    return home !== undefined && !home[1].some((place) => isBelow(file, place));
  });
  assert.deepEqual(outside.map(shown), []);
});

function wrongWay(rules: typeof mayImport, isAlwaysAllowed: (target: string) => boolean, base: string): string[] {
  const inside = imports.filter((one) => !isLibrary(one) && one.file.startsWith(base));
  return inside
    .filter(({ file, target }) => {
      const room = file.slice(base.length).split("/")[0] ?? "";
      const rule = rules[room];
      if (rule === undefined) return !common.includes(room) || !common.includes(target);
      return ![room, ...rule].some((place) => isBelow(target, base + place)) && !isAlwaysAllowed(target);
    })
    .map(shown);
}

test("imports only point right, and never into the engine", () => {
  assert.deepEqual(
    wrongWay(mayImport, (target) => common.includes(target), ""),
    [],
  );
  assert.deepEqual(
    wrongWay(insideInference, (target) => common.includes(target), "inference/"),
    [],
  );
  const engine = "inference/engine";
  const outOfEngine = imports.filter(({ file, target }) => isBelow(file, engine) && common.includes(target));
  const intoEngine = imports.filter(({ file, target }) => !isBelow(file, engine) && isBelow(target, engine));
  assert.deepEqual([...outOfEngine, ...intoEngine].map(shown), []);
});

function parseFile(path: string) {
  return parse(readFileSync(path, "utf8"), { ecmaVersion: "latest", sourceType: "module", locations: true });
}

test("the command line is read before anything heavy is loaded", () => {
  const loaded = new Set<string>();
  const load = (file: string): void => {
    if (loaded.has(file)) return;
    loaded.add(file);
    // What is imported as soon as the file is loaded; `import()` comes later.
    for (const statement of parseFile(join("dist/src", file)).body) {
      if (!("source" in statement) || statement.source == null) continue;
      const name = String(statement.source.value);
      if (name.startsWith(".")) load(join(dirname(file), name));
      else loaded.add(name);
    }
  };
  load("server.js");
  assert.ok(loaded.has("config/settings.js"));
  const heavy = [...loaded].filter(
    (name) => !/^(?:server\.js|version\.js|nearest\.js|config\/.*|node:.*)$/u.test(name),
  );
  assert.deepEqual(heavy, []);
});

test("no file imports itself by a detour, types included", () => {
  const targets = new Map<string, string[]>();
  for (const { file, target } of imports) targets.set(file, [...(targets.get(file) ?? []), target]);
  const done = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) circles.push([...path.slice(path.indexOf(file)), file].join(" → "));
    if (path.includes(file) || done.has(file)) return;
    for (const target of targets.get(file) ?? []) visit(target, [...path, file]);
    done.add(file);
  };
  for (const file of targets.keys()) visit(file, []);
  assert.deepEqual(circles, []);
});

/** Data: models, oracles and measurements, as many as there are. */
const dataFolders = ["test/zoo", "test/fixtures", "bench/results"];

function foldersBelow(folder: string): string[] {
  if (dataFolders.includes(folder)) return [];
  const folders = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return [folder, ...folders.flatMap(({ name }) => foldersBelow(join(folder, name)))];
}

test("no folder has more than 15 entries, and src/ at most 300 files", () => {
  const folders = ["src", "test", "bench", "deploy", "web"].flatMap(foldersBelow);
  const large = folders
    .map((folder) => ({ folder, size: readdirSync(folder).length }))
    .filter(({ size }) => size > 15)
    .map(({ folder, size }) => `${folder}: ${size}`);
  assert.deepEqual(large, []);
  const files = filesBelow("src", ".ts");
  assert.ok(files.length <= 300, `${files.length} files`);
});

function functionLengths(file: string): number[] {
  const lengths: number[] = [];
  full(parseFile(file), (node) => {
    if (!/Function/.test(node.type) || node.loc == null) return;
    lengths.push(node.loc.end.line - node.loc.start.line + 1);
  });
  return lengths;
}

test("half of all functions are shorter than ten lines", () => {
  const lengths = filesBelow("dist/src", ".js")
    .flatMap(functionLengths)
    .sort((a, b) => a - b);
  const median = lengths[Math.floor(lengths.length / 2)] ?? 0;
  assert.ok(lengths.length > 200);
  assert.ok(median < 10, `the median function has ${median} lines`);
});

test("every source file opens with a line that says what it is", () => {
  const silent = filesBelow("src", ".ts").filter((file) => !readFileSync(file, "utf8").startsWith("// "));
  assert.deepEqual(silent, []);
});
