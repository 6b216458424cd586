import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Tokenizer as HubCore } from "tokenizers";
import { loadTokenizers } from "../../../../src/inference/folder/folder-tokenizers.js";
import { cleaningUp, Pipeline } from "../../../../src/inference/tokenizer/text-stages.js";
import { readTokenizerFiles } from "../../../../src/inference/tokenizer/tokenizer-files.js";
import { VocabularyTokenizer } from "../../../../src/inference/tokenizer/vocabulary/vocabulary.js";
import { tableFromList } from "../../../../src/inference/tokenizer/vocabulary/vocabulary-table.js";
import { pick, scaled, seededRandom } from "../../../support/random.js";
import { oracleFolders } from "./oracles.js";
import { streamed } from "./streamed.js";

const patterns = [" .", " ?", " !", " ,", " ' ", " n't", " 'm", " 's", " 've", " 're"];
const cleanedUp = (text: string) =>
  patterns.reduce((cleaned, pattern) => cleaned.replaceAll(pattern, pattern.trim()), text);

for (const oracle of oracleFolders()) {
  describe(`the detokenizer of ${oracle.name}`, () => {
    it("gives, joined, exactly the whole text of random ids, and never half a character", async () => {
      const { target } = await loadTokenizers(oracle.folder);
      const core = packageDecoder(oracle.folder);
      const { cleansUp } = await readTokenizerFiles(oracle.folder);
      const random = seededRandom(11);
      const likely = oracle.tokenize.flatMap(({ ids }) => ids);
      for (let round = 0; round < scaled(300); round++) {
        const ids = Array.from({ length: Math.floor(random() * 24) }, () =>
          random() < 0.5 ? pick(random, likely) : Math.floor(random() * target.vocabSize),
        );
        for (const skip of [true, false]) {
          const text = target.decode(ids, skip);
          assert.equal(streamed(target, ids, skip), text, String(ids));
          // The package's own decode knows nothing of our pipeline.
          if (core === null) continue;
          const wanted = await core.decode(ids, skip);
          assert.equal(text, cleansUp ? cleanedUp(wanted) : wanted, String(ids));
        }
      }
    });
  });
}

describe("a detokenizer", () => {
  it("holds back an incomplete character and gives it whole", async () => {
    const { target } = await loadTokenizers(join(oracleFolders()[0]?.folder ?? "", "../bart"));
    const bytes = ["ð", "Ł", "ĺ", "Ģ"].map((piece) => target.idOf(piece));
    assert.ok(bytes.every((id) => id !== null));
    const stream = target.detokenizer(true);
    assert.deepEqual(
      bytes.map((id) => stream.push(id ?? 0)),
      ["", "", "", "\u{1F600}"],
    );
    assert.equal(stream.push(bytes[0] ?? 0), "");
    assert.equal(stream.flush(), "\uFFFD");
  });

  it("gives each symbol of a vocabulary list at once", () => {
    const tokenizer = new VocabularyTokenizer(tableFromList(["<pad>", "</s>", "HH", "AH0"], "list"), {
      join: " ",
      specials: ["<pad>", "</s>"],
    });
    const stream = tokenizer.detokenizer(true);
    assert.deepEqual(
      [0, 2, 3, 1].map((id) => stream.push(id)),
      ["", "HH", " AH0", ""],
    );
    assert.equal(tokenizer.detokenizer(false).push(0), "<pad>");
  });

  it("cleans up spaces as transformers does, whatever the size of the pieces", () => {
    const random = seededRandom(5);
    const parts = [" ", " ", "'", ".", "n't", "'m", "s", "ve", "re", "a", "?", " ' ", ","];
    for (let round = 0; round < scaled(4000); round++) {
      const pieces = Array.from({ length: Math.floor(random() * 14) }, () => pick(random, parts));
      const pipeline = new Pipeline([cleaningUp()]);
      const text = pieces.map((piece) => pipeline.push(piece)).join("") + pipeline.flush();
      assert.equal(text, cleanedUp(pieces.join("")), JSON.stringify(pieces));
    }
  });

  it("costs the same per id however long the text is", async () => {
    const { target } = await loadTokenizers(join(oracleFolders()[0]?.folder ?? "", "../t5"));
    const stream = target.detokenizer(true);
    const lengths = Array.from({ length: 20_000 }, (_, index) => stream.push(3 + (index % 60)).length);
    assert.ok(lengths.every((length) => length < 64));
  });
});

/** The package's whole-output decoder, where the folder's tokenizer is a plain tokenizer.json. */
function packageDecoder(folder: string): HubCore | null {
  const path = join(folder, "tokenizer.json");
  // Tokens of tokenizer_config.json that the file lacks are unknown to the bare package.
  if (!existsSync(path) || readFileSync(path, "utf8").includes("</w>")) return null;
  return HubCore.fromFile(path);
}
