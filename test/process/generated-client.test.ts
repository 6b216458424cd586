// openapi.yaml → client → tsc, all strict → a running server. What is generated lives in a folder of .cache/ while this runs.
import { spawnSync } from "node:child_process";
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";
import { startServer } from "../../bench/tools/server-process.js";
import { generateTypes } from "../suites/generated-client/generate.js";

mkdirSync(".cache", { recursive: true });
const folder = mkdtempSync(".cache/generated-client-");
const key = "a-key";
const server = await startServer({ API_KEYS: key });
after(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

for (const file of ["client.ts", "tsconfig.json"]) {
  copyFileSync(`test/suites/generated-client/${file}`, join(folder, file));
}
await generateTypes("openapi.yaml", folder);
const compiled = spawnSync("node_modules/.bin/tsc", ["-p", folder], { encoding: "utf8" });
const program =
  compiled.status === 0
    ? ((await import(pathToFileURL(join(folder, "out/client.js")).href)) as {
        testGeneratedClient(url: string, key: string): void;
      })
    : null;

test("a program against the generated types compiles, as strict as this project", () => {
  assert.equal(compiled.status, 0, compiled.stdout);
});
program?.testGeneratedClient(server.url, key);
