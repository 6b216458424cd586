// The command line: which command, its options and settings, help of each, and the nearest name for what is unknown.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { commandHelp, commandRows, commands, type CommandName } from "../../../src/config/command-line.js";
import { ConfigError, readCommand } from "../../../src/config/config.js";
import { runCommand } from "../../support/servers/command.js";

const read = (...args: string[]) => readCommand(args, {});

function wrong(...args: string[]): string {
  try {
    read(...args);
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.message;
  }
  return assert.fail("it was accepted");
}

test("without a command it serves, as ever", () => {
  for (const args of [[], ["--port", "1"], ["serve"], ["serve", "--port=1"]]) assert.equal(read(...args).kind, "serve");
  assert.match(wrong("serve", "models"), /unexpected argument/u);
});

test("options and settings in any order", () => {
  const command = read("generate", "--max-beams=2", "--json", "a text", "--parameters", "{}", "--model", "x");
  assert.ok(command.kind === "generate");
  const { text, isJson, parameters, config } = command;
  assert.deepEqual([text, isJson, parameters, config.maxBeams, config.models], ["a text", true, "{}", 2, ["x"]]);
});

test("a text may look like anything", () => {
  const textOf = (...args: string[]) => {
    const command = read("generate", ...args);
    return command.kind === "generate" ? command.text : assert.fail(command.kind);
  };
  assert.equal(textOf("-5 degrees"), "-5 degrees");
  assert.equal(textOf("--", "--help"), "--help");
  assert.equal(textOf("--json", "--", "--"), "--");
  assert.equal(textOf("-"), null);
  assert.equal(textOf(), null);
});

test("pull takes a revision, main when none is named", () => {
  const revision = (...args: string[]) => {
    const command = read("pull", "o/n", ...args);
    return command.kind === "pull" ? [command.repository, command.revision, command.config.dtype] : [];
  };
  assert.deepEqual(revision("--dtype", "int8"), ["o/n", "main", "int8"]);
  assert.deepEqual(revision("--revision", "v2"), ["o/n", "v2", "auto"]);
});

test("an unknown command names the nearest; quantize says how", () => {
  assert.equal(wrong("genrate", "x"), "genrate: unknown command (did you mean generate?)");
  assert.equal(wrong("chek"), "chek: unknown command (did you mean check?)");
  assert.equal(wrong("zzzzzzzz"), "zzzzzzzz: unknown command: serve, generate, check, pull");
  assert.match(wrong("quantize", "models/x"), /^quantize: not a command: DTYPE=int8 makes an int8 model at load/u);
  assert.equal(wrong("constructor"), "constructor: unknown command: serve, generate, check, pull");
});

test("each command has help, which names all its options, and a place in the help of all", async () => {
  for (const name of Object.keys(commands) as CommandName[]) {
    const { out, code } = await runCommand([name, "--help"]);
    assert.deepEqual([out, code], [commandHelp(name), 0]);
    for (const option of Object.keys(commands[name].options)) assert.ok(out.includes(option), option);
    assert.match(out, /Exit codes/u);
  }
  const all = await runCommand(["--help"]);
  for (const row of commandRows()) assert.ok(all.out.includes(row));
  assert.equal((await runCommand(["help", "pull"])).out, commandHelp("pull"));
  const page = readFileSync("docs/command.md", "utf8");
  for (const { usage, options } of Object.values(commands))
    for (const part of [usage, ...Object.keys(options)]) assert.ok(page.includes(part), `docs/command.md: ${part}`);
});

test("package.json installs it, and it runs through a link from anywhere", () => {
  const { bin } = JSON.parse(readFileSync("package.json", "utf8")) as { bin: Record<string, string> };
  assert.deepEqual(bin, { seqserve: "bin/seqserve.js" });
  const prefix = mkdtempSync(join(tmpdir(), "seqserve-link-"));
  try {
    const env = { ...process.env, npm_config_prefix: prefix };
    execFileSync("npm", ["link", "--silent", "--offline"], { stdio: "pipe", env });
    const said = execFileSync(join(prefix, "bin", "seqserve"), ["--version"], { cwd: tmpdir(), encoding: "utf8" });
    assert.match(said, /^\d+\.\d+\.\d+\n$/u);
  } finally {
    rmSync(prefix, { recursive: true, force: true });
  }
});

test("every way to start the server gives V8 one helper thread", () => {
  const flag = "--v8-pool-size=1";
  const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: Record<string, string> };
  assert.ok(scripts["start"]?.includes(`node ${flag} dist/src/server.js`));
  assert.ok(readFileSync("bin/seqserve.js", "utf8").startsWith(`#!/usr/bin/env -S node ${flag}\n`));
  const entries = readFileSync("Dockerfile", "utf8").match(/^ENTRYPOINT .*$/gmu) ?? [];
  assert.equal(entries.length, 2);
  for (const entry of entries) assert.ok(entry.includes(`"node", "${flag}", "/app/bin/seqserve.js"`), entry);
});
