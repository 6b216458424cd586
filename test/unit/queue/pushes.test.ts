// What travels on an API node's channel.
import assert from "node:assert/strict";
import { test } from "node:test";
import { messagesOf, parsePushes } from "../../../src/queue/redis/pushes.js";
import { type LogEntry } from "../../../src/queue/log/token-log.js";
import { end, tokens } from "../../support/contracts/generations.js";

test("a message holds entries in full while they are small, else only where they begin; by node", () => {
  const large: LogEntry = { seq: 7, event: { type: "failure", kind: "internal", message: "x".repeat(70_000) } };
  const messages = messagesOf(
    [
      { id: "a", entries: tokens(3, 4), nodes: ["n", "m"] },
      { id: "b", entries: [large], nodes: ["n"] },
      { id: "c", entries: [end(1)], nodes: [] },
    ],
    42,
  );
  const parsed = [...messages].map(([node, message]) => [node, parsePushes(message)?.pushes]);
  assert.equal(parsePushes([...messages.values()][0]!)?.atMs, 42);
  assert.deepEqual(parsed, [
    [
      "n",
      [
        { id: "a", entries: tokens(3, 4) },
        { id: "b", entries: [] },
      ],
    ],
    ["m", [{ id: "a", entries: tokens(3, 4) }]],
  ]);
});
