import assert from "node:assert/strict";
import { mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { UnknownSymbol } from "../../../../src/inference/tokenizer/tokenizer.js";
import { loadTokenizers } from "../../../../src/inference/folder/folder-tokenizers.js";
import {
  VocabularyTokenizer,
  type VocabularyOptions,
} from "../../../../src/inference/tokenizer/vocabulary/vocabulary.js";
import {
  readVocabulary,
  tableFromJson,
  tableFromList,
} from "../../../../src/inference/tokenizer/vocabulary/vocabulary-table.js";

const folder = mkdtempSync(join(tmpdir(), "vocabulary-"));
const file = (name: string, content: string) => {
  writeFileSync(join(folder, name), content);
  return name;
};
const made = (symbols: readonly string[], options: VocabularyOptions) =>
  new VocabularyTokenizer(tableFromList(symbols, "list"), options);
const ids = async (tokenizer: VocabularyTokenizer, text: string) => (await tokenizer.encode(text)).map(({ id }) => id);

describe("a vocabulary file", () => {
  it("is a list whose line numbers are the ids, where an empty line is an id without a symbol", async () => {
    const table = await readVocabulary(folder, file("list.txt", "<pad>\r\n\n \n\\n\n\\t\na\n"));
    assert.deepEqual(
      [...table.ids],
      [
        ["<pad>", 0],
        [" ", 2],
        ["\n", 3],
        ["\t", 4],
        ["a", 5],
      ],
    );
    assert.equal(table.size, 6);
  });

  it("is a JSON array, a map with holes, an index_word map or a part of a file", async () => {
    assert.deepEqual(
      [...(await readVocabulary(folder, file("array.json", '["a", null, "b"]'))).ids],
      [
        ["a", 0],
        ["b", 2],
      ],
    );
    const map = await readVocabulary(folder, file("map.json", '{"a": 7, "constructor": 3}'));
    assert.deepEqual([map.size, map.ids.get("a"), map.ids.get("constructor")], [8, 7, 3]);
    assert.equal(tableFromJson({ 1: "the", 2: "of" }, "x").ids.get("of"), 2);
    assert.equal(
      (await readVocabulary(folder, `${file("part.json", '{"itos": ["x", "y"], "n": 3}')}#itos`)).ids.get("y"),
      1,
    );
    assert.equal((await readVocabulary(folder, ["p", "q"])).ids.get("q"), 1);
  });

  it("is refused, with its name, when a symbol stands twice, an id is wrong or a key is missing", async () => {
    await assert.rejects(
      readVocabulary(folder, file("twice.txt", "a\nb\na\n")),
      /twice\.txt: the symbol "a" stands twice \(ids 0 and 2\)/u,
    );
    await assert.rejects(
      readVocabulary(folder, file("ids.json", '{"a": 1, "b": 1}')),
      /ids\.json: id 1 has two symbols, "a" and "b"/u,
    );
    await assert.rejects(readVocabulary(folder, file("bad.json", '{"a": -1}')), /bad\.json: "a": expected an id/u);
    await assert.rejects(readVocabulary(folder, "part.json#stoi"), /part\.json: expected the key "stoi"/u);
    await assert.rejects(readVocabulary(folder, "none.txt"), /none\.txt: the vocabulary cannot be read/u);
    await assert.rejects(readVocabulary(folder, file("no.json", "{")), /no\.json: not JSON/u);
    await assert.rejects(readVocabulary(folder, file("empty.txt", "\n")), /no symbols/u);
  });
});

describe("a vocabulary tokenizer", () => {
  it("splits into graphemes or code points", async () => {
    const symbols = ["👍🏽", "👍", "🏽", "e\u0301", "e", "\u0301"];
    assert.deepEqual(await ids(made(symbols, {}), "👍🏽e\u0301"), [0, 3]);
    assert.deepEqual(await ids(made(symbols, { split: "codepoints" }), "👍🏽e\u0301"), [1, 2, 4, 5]);
  });

  it("splits at white space, or into words and signs as Python's \\w+|[^\\w\\s] does", async () => {
    assert.deepEqual(await ids(made(["don't", "stop."], { split: "whitespace" }), "  don't\tstop.\n"), [0, 1]);
    assert.deepEqual(await ids(made(["don", "'", "t", "."], { split: "words" }), "don't ."), [0, 1, 2, 3]);
  });

  it("keeps offsets into the input through lower-casing", async () => {
    const tokens = await made(["i", "\u0307", "s", "a"], { split: "codepoints", lowercase: true }).encode("İSA");
    assert.deepEqual(
      tokens.map(({ text, start, stop }) => [text, start, stop]),
      [
        ["i", 0, 1],
        ["\u0307", 1, 1],
        ["s", 1, 2],
        ["a", 2, 3],
      ],
    );
  });

  it("refuses an unknown symbol by name, or takes the unknown one", async () => {
    const refused = await made(["a"], { lowercase: true })
      .encode("aÄb")
      .catch((error: unknown) => error);
    assert.ok(refused instanceof UnknownSymbol);
    assert.deepEqual([refused.symbol, refused.start], ["Ä", 1]);
    assert.equal(refused.message, 'the model does not know "Ä"');
    assert.deepEqual(await ids(made(["<unk>", "a"], { unknown: "<unk>" }), "ab"), [1, 0]);
  });

  it("reverses the text, and puts begin and end around it, given as symbols or ids", async () => {
    const tokenizer = made(["<pad>", "<s>", "</s>", "a", "b"], {
      reverse: true,
      prependBos: "<s>",
      appendEos: 2,
      specials: [0],
    });
    const tokens = await tokenizer.encode("ab");
    assert.deepEqual(
      tokens.map(({ id, start, stop, special }) => [id, start, stop, special]),
      [
        [1, 0, 0, true],
        [4, 1, 2, false],
        [3, 0, 1, false],
        [2, 2, 2, true],
      ],
    );
    assert.equal(tokenizer.decode([1, 3, 4, 2, 0], true), "ab");
    assert.equal(tokenizer.decode([1, 3, 99], false), "<s>a");
    assert.deepEqual(
      [tokenizer.piece(4), tokenizer.piece(99), tokenizer.idOf("b"), tokenizer.idOf("c"), tokenizer.vocabSize],
      ["b", null, 4, null, 5],
    );
  });

  it("names an option whose symbol the vocabulary lacks", () => {
    assert.throws(() => made(["a"], { appendEos: "</s>" }), /appendEos: the vocabulary has no symbol "<\/s>"/u);
  });
});

describe("a recurrent model's folder", () => {
  it("gets both sides from its manifest, special characters of Keras' tutorial included", async () => {
    file("chars.txt", "\\t\n\\n\n \na\nb\n");
    const manifest = {
      source: { vocab: ["<pad>", "a", "b"], padToken: 0, lowercase: true },
      target: { vocab: "chars.txt", bos: "\t", eos: "\n" },
    };
    const { source, target } = await loadTokenizers(folder, manifest);
    assert.deepEqual(
      (await source.encode("AB")).map(({ id }) => id),
      [1, 2],
    );
    assert.equal(target.decode([0, 3, 2, 4, 1], true), "a b");
    assert.ok(source.isSpecial(0) && target.isSpecial(1) && !target.isSpecial(2));
  });

  it("is refused with its name when nothing fits", async () => {
    await assert.rejects(loadTokenizers(folder), (error: Error) =>
      error.message.startsWith(`${folder}: no tokenizer: expected tokenizer.json`),
    );
    await assert.rejects(
      loadTokenizers(folder, { source: { tokenizer: "missing.json" } }),
      /missing\.json: the tokenizer is missing/u,
    );
    await assert.rejects(
      loadTokenizers(folder, { source: { vocab: ["a"], appendEos: "</s>" } }),
      (error: Error) => error.message === `${folder}: appendEos: the vocabulary has no symbol "</s>"`,
    );
  });
});
