// "Did you mean": near names are found, far ones are not guessed.
import assert from "node:assert/strict";
import { test } from "node:test";
import { editDistance, nearest, suggestion } from "../../src/nearest.js";
import { ParametersSchema } from "../../src/parameters.js";

const names = Object.keys(ParametersSchema.properties);

test("misspellings, other cases and parts find their name", () => {
  const pairs = {
    topK: "top_k",
    temprature: "temperature",
    "max-new-tokens": "max_new_tokens",
    maxTokens: "max_new_tokens",
    numBeams: "num_beams",
    repitition_penalty: "repetition_penalty",
    tgtLang: "tgt_lang",
  };
  for (const [typed, meant] of Object.entries(pairs)) assert.equal(nearest(typed, names), meant, typed);
});

test("what is near nothing gets no suggestion", () => {
  assert.equal(nearest("qqqqqqqqqq", names), null);
  assert.equal(suggestion("qqqqqqqqqq", names), "");
  assert.equal(nearest("x", []), null);
});

test("the distance counts insertions, deletions, changes and swaps of neighbours", () => {
  const cases: [string, string, number][] = [
    ["", "", 0],
    ["abc", "abc", 0],
    ["abc", "acb", 1],
    ["abc", "ab", 1],
    ["abc", "xabc", 1],
    ["kitten", "sitting", 3],
    ["", "abc", 3],
  ];
  for (const [left, right, distance] of cases) {
    assert.equal(editDistance(left, right), distance, `${left} ${right}`);
    assert.equal(editDistance(right, left), distance, `${right} ${left}`);
  }
});
