// Text through a detokenizer, checked on the way: no half characters, nothing taken back.
import assert from "node:assert/strict";
import type { Tokenizer } from "../../../../src/inference/tokenizer/tokenizer.js";

export function streamed(tokenizer: Tokenizer, ids: readonly number[], skipSpecialTokens: boolean): string {
  const stream = tokenizer.detokenizer(skipSpecialTokens);
  const pieces = [...ids.map((id) => stream.push(id)), stream.flush()];
  for (const piece of pieces)
    assert.equal(Buffer.from(piece).toString(), piece, `half a character in ${JSON.stringify(piece)}`);
  return pieces.join("");
}
