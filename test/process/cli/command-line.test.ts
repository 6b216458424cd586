// The installed command: it runs from anywhere, and help goes to standard output. How it reads its arguments: test/unit/config.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { helpPage } from "../../../src/config/command-line.js";
import { runCommand } from "../../support/servers/command.js";

test("help is printed to standard output, with exit code 0", async () => {
  assert.deepEqual(await runCommand(["help", "pull"]), { out: helpPage("pull"), err: "", code: 0 });
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
