import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { loadTokenizers } from "../../../src/inference/tokenizer/load-tokenizer.js";
import { TextStream } from "../../../src/inference/text-stream.js";
import { zooOracles } from "./oracles.js";

for (const oracle of zooOracles()) {
  describe(`the tokenizer of zoo/${oracle.name}`, async () => {
    const { source, target } = await loadTokenizers(oracle.folder);

    it("gives the ids of transformers", async () => {
      for (const { text, ids } of oracle.tokenize) {
        const tokens = await source.encode(text);
        assert.deepEqual(
          tokens.map((token) => token.id),
          ids,
          JSON.stringify(text),
        );
      }
    });

    it("gives the text of transformers, whole and streamed", () => {
      for (const { ids, text } of oracle.detokenize) {
        assert.equal(target.decode(ids, true), text, String(ids));
        const stream = new TextStream(target);
        assert.equal(ids.map((id) => stream.push(id)).join("") + stream.flush(), text);
      }
    });
  });
}
