import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { StopWatcher } from "../../../../src/inference/generation/stop-strings.js";
import { scaled, seededRandom } from "../../../support/random.js";

function watched(stops: readonly string[], pieces: readonly string[]) {
  const watcher = new StopWatcher(stops);
  const sent = pieces.map((piece) => watcher.push(piece));
  return { sent, text: sent.join("") + watcher.flush(), stop: watcher.stop };
}

describe("a stop watcher", () => {
  it("cuts exactly before a stop string that begins inside a token and spans several", () => {
    const { sent, text, stop } = watched(["\n\nUser:"], ["Hello", " you.\n", "\nUs", "er", ": more", " text"]);
    assert.equal(text, "Hello you.");
    assert.equal(stop, "\n\nUser:");
    assert.deepEqual(sent, ["Hello", " you.", "", "", "", ""]);
  });

  it("holds back what may be the beginning of a stop string, and gives it back when it is not", () => {
    const { sent, text, stop } = watched(["abc"], ["xa", "b", "d", "ab"]);
    assert.deepEqual(sent, ["x", "", "abd", ""]);
    assert.equal(text, "xabdab");
    assert.equal(stop, null);
  });

  it("finds a stop string whose beginning repeats", () => {
    assert.equal(watched(["aab"], ["a", "a", "a", "b", "c"]).text, "a");
  });

  it("takes the one of several that is complete first, and of those that end together the longest", () => {
    assert.deepEqual(watched(["bcde", "c"], ["abcdef"]).text, "ab");
    assert.equal(watched(["c", "bc"], ["abc"]).stop, "bc");
  });

  it("ignores empty stop strings", () => {
    assert.equal(watched([""], ["abc"]).text, "abc");
  });

  it("gives the same text whatever the size of the pieces", () => {
    const random = seededRandom(3);
    const word = (length: number) =>
      Array.from({ length }, () => "ab\u{1F600}"[Math.floor(random() * 3)] ?? "a").join("");
    for (let round = 0; round < scaled(2000); round++) {
      const stops = [word(1 + Math.floor(random() * 4)), word(1 + Math.floor(random() * 4))];
      const text = word(Math.floor(random() * 24));
      const pieces: string[] = [];
      for (let at = 0; at < text.length;) {
        const size = 1 + Math.floor(random() * 5);
        pieces.push(text.slice(at, at + size));
        at += size;
      }
      const whole = watched(stops, [text]);
      const split = watched(stops, pieces);
      assert.equal(split.text, whole.text, JSON.stringify({ stops, pieces }));
      assert.equal(split.stop, whole.stop);
      if (whole.stop === null) assert.equal(whole.text, text);
      else assert.ok(text.startsWith(whole.text + whole.stop));
    }
  });
});
