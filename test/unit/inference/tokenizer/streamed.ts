// Text through a TextStream, checked on the way: no half characters, nothing taken back.
import assert from "node:assert/strict";
import type { Tokenizer } from "../../../../src/inference/tokenizer/tokenizer.js";
import { TextStream } from "../../../../src/inference/generation/transcript.js";

export function streamed(tokenizer: Tokenizer, ids: readonly number[], skipSpecialTokens: boolean): string {
  const stream = new TextStream(tokenizer, skipSpecialTokens);
  const pieces = [...ids.map((id) => stream.push(id)), stream.flush()];
  for (const piece of pieces)
    assert.equal(Buffer.from(piece).toString(), piece, `half a character in ${JSON.stringify(piece)}`);
  return pieces.join("");
}
