// Examples of the docs, run as they stand there: commands, TypeScript and a page of a browser with the answer shown behind them, and rows of tables
// that end in a request and its text. Python's are run by `npm run suite -- python`.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { launchBrowser, noBrowser } from "../../../bench/tools/browser.js";
import { startServer, type RunningServer } from "../../../bench/tools/server-process.js";
import { docExamples, fileName, pointed, type Example } from "../../support/documents/doc-examples.js";
import { pages, prose } from "../../support/documents/markdown.js";
import { difference } from "../../support/documents/shown-answer.js";

const run = promisify(execFile);

const commands = docExamples("sh");
const scripts = docExamples("ts");
const browserPages = docExamples("html");

let shipped: RunningServer;
let zoo: RunningServer;
before(async () => {
  [shipped, zoo] = await Promise.all([startServer({ CORS_ORIGIN: "*" }), startServer({ MODELS_DIR: "test/zoo" })]);
  await compileScripts();
});
after(() => Promise.all([shipped.stop(), zoo.stop()]));

const textOf = (example: Example) => pointed(example.text, shipped.url, zoo.url);

test("the README and the pages for tasks show answers", () => {
  const tasks = ["decoding", "errors", "languages", "migrating", "serving", "streaming"];
  const bare = ["README.md", ...tasks.map((name) => `docs/${name}.md`)].filter(
    (page) => ![...commands, ...scripts, ...browserPages].some((example) => example.page === page),
  );
  assert.deepEqual(bare, []);
});

const noCurl = await run("curl", ["--version"]).then(
  () => false,
  () => "no curl",
);

for (const example of commands) {
  test(`${example.name} answers as shown`, { skip: noCurl }, async () => {
    const command = textOf(example).replaceAll(/^(?:npx )?seqserve (?=\w)/gmu, "node bin/seqserve.js ");
    const { stdout } = await run("sh", ["-c", command], { timeout: 60_000 });
    assert.equal(difference(example.shown, stdout), null);
  });
}

// Beside node_modules, so that scripts find their clients.
const folder = "dist/docs-examples";

async function compileScripts(): Promise<void> {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const script of scripts) writeFileSync(join(folder, `${fileName(script)}.ts`), textOf(script));
  const extended = {
    extends: "../../tsconfig.json",
    compilerOptions: { rootDir: ".", outDir: "js" },
    include: ["*.ts"],
  };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify(extended));
  await run("node_modules/.bin/tsc", ["-p", join(folder, "tsconfig.json")]).catch((error: { stdout?: string }) => {
    throw new Error(`the docs' TypeScript does not compile: ${error.stdout}`);
  });
}

for (const example of scripts) {
  test(`${example.name} prints what is shown`, async () => {
    const { stdout } = await run(process.execPath, [join(folder, "js", `${fileName(example)}.js`)], {
      timeout: 60_000,
    });
    assert.equal(difference(example.shown, stdout), null);
  });
}

for (const example of browserPages) {
  test(`${example.name} comes to show what is shown`, { skip: noBrowser }, async () => {
    const browser = await launchBrowser();
    try {
      const page = await browser.newPage();
      await page.setContent(textOf(example));
      await page.waitForFunction((shown) => document.body.innerText.trim() === shown, example.shown.trim(), {
        timeout: 20_000,
      });
    } finally {
      await browser.close();
    }
  });
}

// In tables: `text` `{"top_k": 1}` → `answer`, of the default model where none is named before them.
const inRow = /(?:`([\w-]+)`: )?`([^`\n]+)` (?:`(\{[^`\n]*\})` )?→ `([^`\n]*)`/gu;

for (const page of pages().filter((page) => page.startsWith("docs/"))) {
  const rows = prose(page).replaceAll(/^[^|].*$/gmu, "");
  for (const [whole, model, inputs = "", json = "{}", text = ""] of rows.matchAll(inRow)) {
    test(`${page}: ${whole}`, async () => {
      const named = model === undefined ? {} : { model };
      const response = await fetch(`${shipped.url}/generate`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ inputs, parameters: JSON.parse(json) as object, ...named }),
      });
      const { error, outputs = [] } = (await response.json()) as { error?: string; outputs?: { text: string }[] };
      assert.equal(error ?? outputs.map((output) => output.text).join(", "), text);
    });
  }
}
