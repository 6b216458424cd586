// What documents and comments tell people to run is there: scripts of package.json, and suites with their files.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { suites, suiteTable } from "../../suites/list.js";

const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: Readonly<Record<string, string>> };
const folders = ["docs", "deploy", "models", "src", "test/suites", "bench", ".github"];
const texts = [
  "README.md",
  "CONTRIBUTING.md",
  ".ci/run",
  "redocly.yaml",
  ...folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((name) => /\.(md|ts|py|ya?ml|txt)$/u.test(name))
      .map((name) => join(folder, name)),
  ),
];

test("every command that is named is a script, and every suite is one of the list", () => {
  const unknown = texts.flatMap((file) => {
    const named = [...readFileSync(file, "utf8").matchAll(/npm run (?:--silent )?(\w+(?::\w+)?)(?: -- ([\w-]+))?/gu)];
    return named
      .filter(([, script = "", name]) => {
        if (script === "suite" && name !== undefined) return !suites.some((suite) => suite.name === name);
        return scripts[script] === undefined;
      })
      .map(([command]) => `${file}: ${command}`);
  });
  assert.deepEqual(unknown, []);
  assert.ok(Object.keys(scripts).length <= 12);
});

test("each suite has its file, and says what it needs", () => {
  for (const { name, file } of suites) {
    assert.ok(existsSync(file.replace(/\.js$/u, ".ts")), file);
    assert.match(suiteTable(), new RegExp(`^${name} `, "mu"));
  }
});
