// The command line: which command, its options and settings, help of each, and the nearest name for what is unknown.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { commands, helpPage, type CommandName } from "../../../src/config/command-line.js";
import { ConfigError, readCommand } from "../../../src/config/config.js";
import { version } from "../../../src/version.js";

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

test("a value is needed, or not taken; of several the last counts", () => {
  assert.equal(wrong("generate", "x", "--parameters"), "--parameters: needs a value");
  assert.equal(wrong("generate", "--model", "--json"), "--model: needs a value");
  assert.equal(wrong("generate", "--parameters=--json"), "--parameters: needs a value");
  assert.equal(wrong("check", "x", "--json="), "--json: takes no value");
  assert.equal(wrong("pull", "o/n", "--revison", "v2"), "--revison: unknown option (did you mean --revision?)");
  assert.equal(wrong("check"), "check: needs folder");
  assert.match(wrong("check", "a", "b"), /^"b": one folder only/u);
  assert.match(wrong("--=x"), /^--: unknown setting/u);
  const command = read("pull", "o/n", "--dtype=int8", "--dtype", "fp16", "--revision", "-x");
  assert.ok(command.kind === "pull");
  assert.deepEqual([command.config.dtype, command.revision], ["fp16", "-x"]);
});

test("each command has help, which names all its options, and a place in the help of all", () => {
  const page = readFileSync("docs/command.md", "utf8");
  const all = helpPage(null);
  assert.ok(all.startsWith(`seqserve ${version}: `));
  for (const name of Object.keys(commands) as CommandName[]) {
    const { usage, summary, options } = commands[name];
    assert.deepEqual(read(name, "--help"), { kind: "help", of: name });
    assert.deepEqual(read("help", name), { kind: "help", of: name });
    const help = helpPage(name);
    assert.ok(help.startsWith(`Usage: ${usage}\n\n${summary}\n`));
    assert.match(help, /Exit codes/u);
    assert.match(all, new RegExp(`^ {2}${name} +[A-Z]`, "mu"));
    for (const option of Object.keys(options)) assert.ok(help.includes(option), option);
    for (const part of [usage, ...Object.keys(options)]) assert.ok(page.includes(part), `docs/command.md: ${part}`);
  }
  assert.deepEqual(read("--help"), { kind: "help", of: null });
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
