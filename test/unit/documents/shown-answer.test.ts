// How answers are held against what the docs show: what may differ, and what may not.
import assert from "node:assert/strict";
import { test } from "node:test";
import { difference } from "../../support/documents/shown-answer.js";

const id = (digit: string) => digit.repeat(32);
const answer = (text: string, score: number, total: number, digit: string) =>
  JSON.stringify({ outputs: [{ text, ids: [1, 2], score }], id: id(digit), timings: { total_ms: total } });

test("ids, timings and last digits don't count", () => {
  assert.equal(difference(answer("N", -0.5, 3.5, "a"), answer("N", -0.51, 7, "b")), null);
});

test("texts, ids of tokens, scores and fields that are not shown do", () => {
  const shown = answer("N", -0.5, 3.5, "a");
  assert.match(difference(shown, answer("M", -0.5, 3.5, "a")) ?? "", /outputs\[0\]\.text: expected "N", got "M"/);
  assert.match(difference(shown, answer("N", -0.6, 3.5, "a")) ?? "", /score/);
  assert.match(difference(shown, shown.replace("[1,2]", "[1,3]")) ?? "", /ids\[1\]: expected 2, got 3/);
  assert.match(difference(shown, shown.replace("[1,2]", "[1,2,3]")) ?? "", /ids: expected 2 items, got 3/);
  assert.match(difference(shown, shown.replace('"outputs"', '"more":1,"outputs"')) ?? "", /\.more: not shown/);
  assert.match(difference(shown, '{"error":"no"}') ?? "", /error: not shown/);
});

test("… leaves out fields, items and lines, and nothing else", () => {
  assert.equal(difference('{"a":1, …}', '{"a":1,"b":2}'), null);
  assert.equal(difference('{"a":[1, …]}', '{"a":[1,2,3]}'), null);
  assert.equal(difference("one\n…\nthree", "one\ntwo\ntwo\nthree"), null);
  assert.notEqual(difference('{"a":1, …}', '{"b":2}'), null);
  assert.notEqual(difference('{"a":[1, …]}', '{"a":[]}'), null);
  assert.notEqual(difference("one\n…\nthree", "one\ntwo"), null);
  assert.notEqual(difference("one", "one\ntwo"), null);
});

test("events are compared line by line, their data as JSON", () => {
  const event = (text: string) => `id: 1\ndata: {"token":{"text":"${text}"}}\n\n`;
  assert.equal(difference('id: 1\ndata: {"token": {"text": "N"}}', event("N")), null);
  assert.notEqual(difference('id: 1\ndata: {"token": {"text": "N"}}', event("M")), null);
  assert.notEqual(difference('id: 2\ndata: {"token": {"text": "N"}}', event("N")), null);
});

test("of headers those that are shown must be there", () => {
  const given = `HTTP/1.1 202 Accepted\r\nLocation: /generations/${id("b")}\r\ndate: now\r\n\r\n{"status":"queued"}`;
  assert.equal(
    difference(`HTTP/1.1 202 Accepted\nlocation: /generations/${id("a")}\n\n{"status":"queued"}`, given),
    null,
  );
  assert.notEqual(difference('HTTP/1.1 200 OK\n\n{"status":"queued"}', given), null);
  assert.notEqual(difference('HTTP/1.1 202 Accepted\nretry-after: 1\n\n{"status":"queued"}', given), null);
  assert.notEqual(difference('HTTP/1.1 202 Accepted\n\n{"status":"running"}', given), null);
});
