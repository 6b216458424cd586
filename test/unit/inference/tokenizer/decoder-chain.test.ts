import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Tokenizer as HubCore } from "tokenizers";
import { readDecoderChain } from "../../../../src/inference/tokenizer/hub/decoder-chain.js";
import { HubTokenizer } from "../../../../src/inference/tokenizer/hub/hub-tokenizer.js";
import { Pipeline } from "../../../../src/inference/tokenizer/text-stages.js";
import type { Json, TokenizerFiles } from "../../../../src/inference/tokenizer/tokenizer-files.js";
import { pick, scaled, seededRandom } from "../../../support/random.js";

const sequence = (...decoders: Json[]): Json => ({ type: "Sequence", decoders });
const metaspace = (scheme: string): Json => ({
  type: "Metaspace",
  replacement: "▁",
  prepend_scheme: scheme,
  split: true,
});
const strip = (content: string, start: number, stop: number): Json => ({ type: "Strip", content, start, stop });
const replace = (pattern: Json, content: string): Json => ({ type: "Replace", pattern, content });
const fuse: Json = { type: "Fuse" };
const byteFallback: Json = { type: "ByteFallback" };
const byteLevel: Json = { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true };

const specs: Record<string, Json> = {
  "byte level": byteLevel,
  "byte level, then replaced and stripped": sequence(byteLevel, replace({ String: "ab" }, "b"), strip(" ", 2, 1)),
  "metaspace, always": metaspace("always"),
  "metaspace, first": metaspace("first"),
  "metaspace, never": metaspace("never"),
  "byte fallback, fused and stripped": sequence(replace({ String: "▁" }, " "), byteFallback, fuse, strip(" ", 1, 0)),
  "byte fallback, fused and stripped at both ends": sequence(
    replace({ String: "▁" }, " "),
    byteFallback,
    fuse,
    strip(" ", 1, 2),
  ),
  "byte fallback, then metaspace": sequence(byteFallback, metaspace("always")),
  "fused, then replaced": sequence(fuse, replace({ String: "aba" }, "x"), replace({ String: "xx" }, "y")),
  "word pieces": { type: "WordPiece", prefix: "##", cleanup: false },
  "word pieces, cleaned up": { type: "WordPiece", prefix: "##", cleanup: true },
  "word ends": { type: "BPEDecoder", suffix: "</w>" },
  "a pattern in each token": replace({ Regex: "a+b?" }, "<$1>"),
  "tokens without their first a": strip("a", 2, 0),
  "tokens without their last b": strip("b", 0, 1),
};

const tokens = [
  "a",
  "b",
  "ab",
  "aba",
  "▁",
  "▁a",
  "▁▁b",
  " ",
  "##a",
  "##",
  "ing</w>",
  "</w>",
  "Ġa",
  "Ã",
  "©",
  "ðŁ",
  "ĺ",
  "Ģ",
  "é",
  "日",
  ".",
  "n't",
  "'",
  "'s",
  "do not",
  "<0xE2>",
  "<0x82>",
  "<0xAC>",
  "<0xF0>",
  "<0x41>",
  "<0xe2>",
  "<0xZZ>",
];

function json(decoder: Json | null) {
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  return {
    version: "1.0",
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: null,
    post_processor: null,
    decoder,
    model: { type: "WordLevel", vocab, unk_token: "a" },
  };
}

describe("a decoder of tokenizer.json, token by token", () => {
  for (const [name, spec] of Object.entries(specs)) {
    it(`gives what the package gives for all tokens: ${name}`, () => {
      const decoder = HubCore.fromString(JSON.stringify(json(spec))).getDecoder();
      const chain = readDecoderChain(spec);
      assert.ok(decoder !== null && chain !== null);
      const random = seededRandom(17);
      for (let round = 0; round < scaled(3000); round++) {
        const some = Array.from({ length: Math.floor(random() * 10) }, () => pick(random, tokens));
        // The package aborts the process where it strips the end of a text that is shorter than what it strips.
        if (name.includes("strip") && !name.endsWith("fused and stripped")) some.unshift("b", "b");
        const pipeline = new Pipeline(chain.open());
        const text = some.map((token) => pipeline.push(token)).join("") + pipeline.flush();
        assert.equal(text, decoder.decode(some), JSON.stringify(some));
      }
    });
  }

  it("that only works on whole outputs is kept to the end", async () => {
    const ctc = json({ type: "CTC", pad_token: "a", word_delimiter_token: "b", cleanup: true });
    assert.equal(readDecoderChain(ctc.decoder), null);
    const files: TokenizerFiles = {
      folder: "",
      config: {},
      className: "",
      added: [],
      roles: new Map(),
      specials: [],
      additionalSpecial: [],
      cleansUp: false,
    };
    const tokenizer = new HubTokenizer(ctc, files);
    const ids = [18, 18, 0, 18, 1, 19];
    assert.equal(tokenizer.decode(ids, false), await HubCore.fromString(JSON.stringify(ctc)).decode(ids, false));
  });

  it("that is absent puts a space between tokens", async () => {
    const plain = json(null);
    const chain = readDecoderChain(null);
    assert.ok(chain !== null);
    const pipeline = new Pipeline(chain.open());
    const text = ["a", "b", "ab"].map((token) => pipeline.push(token)).join("") + pipeline.flush();
    assert.equal(text, await HubCore.fromString(JSON.stringify(plain)).decode([0, 1, 2], false));
  });
});
