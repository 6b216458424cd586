import assert from "node:assert/strict";
import { cpSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { describe, it } from "node:test";
import { loadTokenizers } from "../../../../src/inference/folder/folder-tokenizers.js";
import { readManifest } from "../../../../src/inference/folder/manifest.js";
import { oracleFolders, type Oracle } from "./oracles.js";
import { streamed } from "./streamed.js";

const alternatives = ["spiece.model", "sentencepiece.bpe.model", "merges.txt"];

for (const oracle of oracleFolders()) {
  describe(`the tokenizer of ${oracle.name}`, () => checkOracle(oracle, oracle.folder));
  const has = (file: string) => existsSync(join(oracle.folder, file));
  if (!has("tokenizer.json") || !alternatives.some(has)) continue;
  describe(`the tokenizer of ${oracle.name} without its tokenizer.json`, () =>
    checkOracle(oracle, withoutHubFile(oracle.folder)));
}

function checkOracle(oracle: Oracle, folder: string): void {
  const loading = readManifest(folder).then((manifest) => loadTokenizers(folder, manifest ?? {}));

  it("gives the ids of transformers", async () => {
    const { source } = await loading;
    for (const { text, ids, srcLang, tgtLang } of oracle.tokenize) {
      const tokens = await source.encode(text, { ...(srcLang && { srcLang }), ...(tgtLang && { tgtLang }) });
      assert.deepEqual(
        tokens.map((token) => token.id),
        ids,
        JSON.stringify(text),
      );
      for (const { start, stop } of tokens) assert.ok(0 <= start && start <= stop && stop <= text.length);
    }
  });

  it("gives the text of transformers, whole and streamed", async () => {
    const { target } = await loading;
    for (const { ids, text, skip = true } of oracle.detokenize) {
      assert.equal(target.decode(ids, skip), text, String(ids));
      assert.equal(streamed(target, ids, skip), text, String(ids));
    }
  });
}

function withoutHubFile(folder: string): string {
  const copy = join(mkdtempSync(join(tmpdir(), "tokenizer-")), basename(folder));
  const isKept = (path: string) => !/\.onnx$|tokenizer\.json$|oracle\.json$|[/\\]onnx$/u.test(path);
  cpSync(folder, copy, { recursive: true, filter: isKept });
  process.on("exit", () => rmSync(copy, { recursive: true, force: true }));
  return copy;
}
