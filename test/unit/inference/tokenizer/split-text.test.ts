// Long texts are split a window at a time: the same symbols as all at once, and never the whole text handed to V8's segmenter, which copies it for each symbol.
import assert from "node:assert/strict";
import { test } from "node:test";
import { splitText } from "../../../../src/inference/tokenizer/vocabulary/split-text.js";
import { below, scaled, seededRandom } from "../../../support/random.js";

const pieces = [
  "a",
  " ",
  "\r\n",
  "\n",
  "é",
  "e\u0301",
  "👍🏽",
  "👨‍👩‍👧‍👦",
  "🇩🇪",
  "🇫",
  "क्षि",
  "한",
  "각",
  "\u200d",
  "\ud83d",
  "☝️",
  "ﷺ",
];

test("windows tell the same characters as the whole text does, wherever they are cut", () => {
  const random = seededRandom(5);
  for (let round = 0; round < scaled(200); round += 1) {
    const length = 1 + below(random, 900);
    const few = pieces.slice(below(random, 8), 8 + below(random, 10));
    const text = Array.from({ length }, () => few[below(random, few.length)]).join("");
    const expected = Array.from(new Intl.Segmenter("en").segment(text), ({ segment, index }) => ({
      text: segment,
      start: index,
      stop: index + segment.length,
    }));
    assert.deepEqual(splitText(text, "characters", false), expected);
  }
});

test("one character that is longer than a window", () => {
  const text = `a${"e" + "\u0301".repeat(2000)}b`;
  assert.deepEqual(
    splitText(text, "characters", false).map(({ text: symbol }) => symbol.length),
    [1, 2001, 1],
  );
});

test("a text of any length costs the segmenter windows, not copies of itself", (t) => {
  const handed: number[] = [];
  const { segment } = Intl.Segmenter.prototype;
  t.mock.method(Intl.Segmenter.prototype, "segment", function (this: Intl.Segmenter, text: string) {
    handed.push(text.length);
    return segment.call(this, text);
  });
  const text = "x ".repeat(50_000);
  assert.equal(splitText(text, "characters", false).length, text.length);
  assert.ok(Math.max(...handed) <= 1024, `${Math.max(...handed)} units at once`);
});
