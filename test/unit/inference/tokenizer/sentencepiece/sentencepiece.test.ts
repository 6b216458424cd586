import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { readSentencePieceFile } from "../../../../../src/inference/tokenizer/sentencepiece/model-file.js";
import { SentencePiece } from "../../../../../src/inference/tokenizer/sentencepiece/sentencepiece.js";
import { root } from "../oracles.js";

interface Cases {
  /** piece, id, byte offsets. */
  readonly encode: readonly {
    readonly text: string;
    readonly pieces: readonly (readonly [string, number, number, number])[];
  }[];
  readonly decode: readonly { readonly pieces: readonly string[]; readonly text: string }[];
}

const folder = join(root, "test/fixtures/tokenizer/sentencepiece");
const names = readdirSync(folder).filter((name) => name.endsWith(".model"));

for (const name of names) {
  describe(`sentencepiece's ${name}`, () => {
    const model = new SentencePiece(readSentencePieceFile(readFileSync(join(folder, name)), name));
    const cases = JSON.parse(readFileSync(join(folder, name.replace(".model", ".json")), "utf8")) as Cases;

    it("cuts texts into the same pieces at the same places", () => {
      for (const { text, pieces } of cases.encode) {
        const place = utf16Places(text);
        const wanted = pieces.map(([piece, id, start, stop]) => ({
          text: piece,
          id,
          start: place(start),
          stop: place(stop),
        }));
        assert.deepEqual(model.encode(text), wanted, JSON.stringify(text));
      }
    });

    it("makes the same text of pieces", () => {
      for (const { pieces, text } of cases.decode) {
        const decoding = model.decoder();
        const parts = [...pieces.flatMap((piece) => decoding.push(piece)), ...decoding.flush()];
        assert.equal(parts.join(""), text, JSON.stringify(pieces));
      }
    });
  });
}

describe("a file that is no sentencepiece model", () => {
  it("is refused with its name", () => {
    assert.throws(
      () => readSentencePieceFile(Buffer.from("not a model"), "folder/source.spm"),
      /folder\/source\.spm: not a sentencepiece model/u,
    );
    assert.throws(() => readSentencePieceFile(new Uint8Array(), "x.model"), /x\.model: .*no pieces/u);
  });
});

function utf16Places(text: string): (byte: number) => number {
  const places = new Map([[0, 0]]);
  let [bytes, units] = [0, 0];
  for (const character of text) places.set((bytes += Buffer.byteLength(character)), (units += character.length));
  return (byte) => places.get(byte) ?? -1;
}
