// What the main thread's side of an engine says to sequences under way when it closes. No model is loaded.
import assert from "node:assert/strict";
import { test } from "node:test";
import { EngineHost } from "../../../../src/inference/host/engine-host.js";
import { decoding } from "../../../support/models/decoding.js";

test("an engine that closes tells its sequences when to come back", async () => {
  const host = new EngineHost({
    maxBatchRows: 1,
    maxEncodeTokens: 16,
    threads: 1,
    device: "cpu",
    loads: null,
    loadTimeoutMs: 1000,
    onStep: () => undefined,
    onCrash: () => undefined,
  });
  const { events } = host.submit({ sourceIds: [1], decoding: decoding({}) } as never, new AbortController().signal);
  const next = events[Symbol.asyncIterator]().next();
  const refused = assert.rejects(next, {
    kind: "unavailable",
    message: "the server is shutting down",
    retryAfterSeconds: 1,
  });
  await host.close();
  await refused;
});
