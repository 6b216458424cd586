// `seqserve generate`: only the text on standard output, as it comes; the server's own answers, rules and errors; Ctrl-C. Streams, standard
// input and signals are those of processes; the rest calls generate() in this one.
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { once } from "node:events";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { generate } from "../../../src/cli/generate.js";
import { readCommand } from "../../../src/config/config.js";
import { startServer } from "../../../bench/tools/server-process.js";
import { runCommand, startCommand, type Ended } from "../../support/servers/command.js";

const home = mkdtempSync(join(tmpdir(), "seqserve-generate-"));
const environment = { MODELS_DIR: "models", CACHE_DIR: join(home, "cache") };
after(() => rmSync(home, { recursive: true, force: true }));

/** What the process would say, and its exit code. */
async function runHere(args: readonly string[], more: Record<string, string> = {}): Promise<Ended> {
  const seen = { out: "", err: "" };
  const output = {
    print: async (text: string) => void (seen.out += text),
    printError: (text: string) => (seen.err += text),
    note: () => undefined,
  };
  try {
    const command = readCommand(args, { ...environment, ...more });
    assert.ok(command.kind === "generate");
    const code = await generate(command, output);
    return { ...seen, code };
  } catch (error) {
    return { ...seen, err: `${seen.err}seqserve: ${(error as Error).message}\n`, code: 1 };
  }
}

test("standard output gets the text, a line break and nothing else", async () => {
  assert.deepEqual(await runCommand(["generate", "knights"], environment), { out: "N AY1 T S\n", err: "", code: 0 });
  const said = await runHere(["generate", "twenty five dollars", "--model", "itn-en"]);
  assert.deepEqual(said, { out: "$25\n", err: "", code: 0 });
});

test("the text comes from standard input when it is - or missing", async () => {
  for (const args of [
    ["generate", "-"],
    ["generate", "--model=g2p-en"],
  ]) {
    assert.equal((await runCommand(args, environment, "knights\n")).out, "N AY1 T S\n", args.join(" "));
  }
  const empty = await runCommand(["generate"], environment, "");
  assert.deepEqual([empty.code, empty.err], [1, "seqserve: generate: no text: give one, or pipe one in\n"]);
});

test("--json prints the object that POST /generate answers", async () => {
  const parameters = { num_beams: 4, num_return_sequences: 2, details: true };
  const args = ["generate", "read", "--model", "g2p-en", "--json", "--parameters", JSON.stringify(parameters)];
  const { out, err, code } = await runHere(args);
  assert.equal(code, 0, err);
  const server = await startServer(environment);
  try {
    const body = JSON.stringify({ inputs: "read", model: "g2p-en", parameters });
    const answered = await fetch(`${server.url}/generate`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body,
    });
    const strip = (text: string) => ({ ...(JSON.parse(text) as object), id: "", timings: {} });
    const [ours, theirs] = [strip(out), strip(await answered.text())];
    assert.deepEqual(ours, theirs);
    assert.deepEqual(Object.keys(JSON.parse(out) as object).includes("timings"), true);
  } finally {
    await server.stop();
  }
});

test("several outputs come one a line, the best first", async () => {
  const parameters = '{"num_beams":4,"num_return_sequences":3}';
  const { out } = await runHere(["generate", "read", "--parameters", parameters]);
  assert.equal(out, "R EH1 D\nR IY1 D\nR EY1 D\n");
  const beams = await runHere(["generate", "read", "--parameters", '{"num_beams":4}']);
  assert.equal(beams.out, "R EH1 D\n");
});

test("what the server refuses is one line and exit code 1", async () => {
  const refused: [string[], RegExp][] = [
    [
      ["--parameters", '{"num_beam":4}'],
      /^seqserve: parameters\.num_beam: unknown field \(did you mean num_beams\?\)\n$/u,
    ],
    [["--parameters", '{"temperature":0}'], /^seqserve: parameters\.temperature: must be > 0 [^\n]*\n$/u],
    [["--parameters", '{"num_beams":4}', "--max-beams", "2"], /^seqserve: parameters\.num_beams: [^\n]*2[^\n]*\n$/u],
    [["--parameters", "{"], /^seqserve: --parameters: not JSON: [^\n]*\n$/u],
    [["--parameters", "[1]"], /^seqserve: --parameters: must be an object, as in \{"num_beams":4\}\n$/u],
    [["--parameters"], /^seqserve: --parameters: needs a value\n$/u],
    [["--json=1"], /^seqserve: --json: takes no value\n$/u],
    [["--jsn"], /^seqserve: --jsn: unknown option \(did you mean --json\?\)\n$/u],
    [["--max-beam", "3"], /^seqserve: --max-beam: unknown option \(did you mean --max-beams\?\)\n$/u],
    [["--model", "g2p"], /^seqserve: MODEL: no folder "g2p" in models [^\n]*\n$/u],
    [["--models-dir", "test/contract"], /^seqserve: MODELS_DIR: no model folder in test\/contract\n$/u],
    [["another"], /^seqserve: "another": one text only [^\n]*\n$/u],
  ];
  for (const [args, line] of refused) {
    const { out, err, code } = await runHere(["generate", "knights", ...args]);
    assert.deepEqual([code, out], [1, ""], args.join(" "));
    assert.match(err, line);
  }
  const letters = await runCommand(["generate", "日本"], environment);
  assert.equal(letters.code, 1);
  assert.match(letters.err, /^seqserve: inputs: [^\n]+\n$/u);
  const broken = await runHere(["generate", "x", "--models-dir", "test", "--model", "support"]);
  assert.match(broken.err, /^seqserve: test\/support: encoder: expected encoder_model\.onnx [^\n]*\n$/u);
});

test("the server's keys, roles and secrets don't hinder it", async () => {
  const others = {
    API_KEYS: "k",
    REDIS_URL: "redis://127.0.0.1:1",
    ROLE: "api",
    METRICS_PORT: "1",
    LOG_LEVEL: "trace",
  };
  const { out, err, code } = await runHere(["generate", "knights"], others);
  assert.deepEqual([out, err, code], ["N AY1 T S\n", "", 0]);
});

/** Far longer than anybody waits. */
function endless(count: number): string[] {
  const lengths = JSON.stringify({ min_new_tokens: count, max_new_tokens: count });
  const setting = ["--models-dir", "test/zoo", "--model", "t5", "--max-new-tokens", String(count)];
  return ["generate", "the house is small", ...setting, "--parameters", lengths];
}

test("the text streams, and Ctrl-C in its middle ends cleanly", async () => {
  const short = (await runHere(endless(60))).out.trimEnd();
  assert.ok(short.length > 60);
  for (const [signal, expected] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    const { child, seen, ended } = startCommand(endless(60_000), environment);
    child.stdin.end();
    while (seen.out.length < short.length) await once(child.stdout, "data");
    child.kill(signal);
    const { code } = await ended;
    assert.deepEqual([code, seen.err], [expected, ""]);
    assert.ok(seen.out.endsWith("\n"));
    assert.ok(seen.out.startsWith(short), "what came is the beginning");
  }
});

test("who asks twice does not wait: the process ends at once", async () => {
  const { child, seen, ended } = startCommand(endless(60_000), environment);
  child.stdin.end();
  await once(child.stdout, "data");
  child.kill("SIGINT");
  child.kill("SIGINT");
  await ended;
  assert.ok(child.exitCode === 130 || child.signalCode === "SIGINT", `${child.exitCode} ${child.signalCode}`);
  assert.equal(seen.err, "");
});

test("a reader that leaves is no fault", async () => {
  const { child, seen, ended } = startCommand(endless(60_000), environment);
  child.stdin.end();
  await once(child.stdout, "data");
  child.stdout.destroy();
  const { code } = await ended;
  assert.deepEqual([code, seen.err], [0, ""]);
});
