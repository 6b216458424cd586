// The transcript by itself, on a real vocabulary: what it makes of a log that reaches further than the engine came, and of what JSON loses.
import assert from "node:assert/strict";
import { before, test } from "node:test";
import type { EndEvent, Prepared, TokenEvent } from "../../../../src/generation.js";
import { readFolder } from "../../../../src/inference/folder/folder.js";
import { textSide } from "../../../../src/inference/catalog/load-steps.js";
import { ResumedTokens } from "../../../../src/inference/generation/resumed-tokens.js";
import type { Tokenizer } from "../../../../src/inference/tokenizer/tokenizer.js";
import { Transcript } from "../../../../src/inference/generation/transcript.js";
import { decoding } from "../../../support/models/decoding.js";

let target: Tokenizer;
let ids: readonly number[];
let eos: number;

before(async () => {
  const folder = await readFolder("models/g2p-en", { dtype: "auto", cacheDir: "none" });
  const side = await textSide(folder, { maxInputTokens: null, maxNewTokens: 64, maxBeams: 4 });
  target = side.target;
  eos = side.special.eos[0]!;
  ids = ["K", "AE1", "T", "S"].map((symbol) => target.idOf(symbol)!);
});

function prepared(overrides: Partial<Prepared["decoding"]> = {}): Prepared {
  return {
    id: "x",
    model: "g2p-en",
    sourceIds: [4, 5, 6],
    decoding: decoding({ prefix: [0], eosTokenIds: [eos], maxLength: 20, ...overrides }),
    stop: [],
    wantLogprobs: true,
    topN: 0,
    wantAttention: false,
    deadlineAt: null,
    priority: 5,
  };
}

const timings = { queueMs: 0, encodeMs: 0, decodeMs: 0 };

function logged(of: Prepared, tokens: readonly { output: number; id: number }[]): TokenEvent[] {
  const transcript = new Transcript(of, target);
  const events = tokens.flatMap(({ output, id }) => [...transcript.take(output, { id, logprob: -0.5 })]);
  return JSON.parse(JSON.stringify(events)) as TokenEvent[];
}

function endOf(events: readonly (TokenEvent | EndEvent)[]): EndEvent {
  const last = events.at(-1);
  assert.ok(last?.type === "end");
  assert.equal(events.length, 1, "nothing of the log is yielded again");
  return last;
}

test("an engine that was stopped on its way through the log doesn't shorten what was sent", () => {
  const of = prepared();
  const events = logged(
    of,
    [...ids, eos].map((id) => ({ output: 0, id })),
  );
  for (const [length, reason] of [
    [4, "deadline"],
    [5, "eos_token"],
  ] as const) {
    const transcript = new Transcript(of, target, new ResumedTokens(events.slice(0, length), of));
    assert.deepEqual([...transcript.take(0, { id: ids[0]! })], []);
    const outputs = [{ tokens: [{ id: ids[0]! }, { id: ids[1]! }], score: null, finishReason: "deadline" as const }];
    const end = endOf([...transcript.end({ outputs, timings }, 1)]);
    assert.equal(end.outputs[0]?.text, "K AE1 T S");
    assert.equal(end.outputs[0]?.finishReason, reason);
    assert.equal(end.outputs[0]?.score, -0.5);
    assert.equal(end.usage.generatedTokens, length);
  }
});

test("so with outputs side by side, one of which the log has ended", () => {
  const of = prepared({ doSample: true, numReturnSequences: 2 });
  const order = [
    [0, ids[0]!],
    [1, ids[1]!],
    [0, eos],
    [1, ids[2]!],
    [1, ids[3]!],
  ] as const;
  const events = logged(
    of,
    order.map(([output, id]) => ({ output, id })),
  );
  const transcript = new Transcript(of, target, new ResumedTokens(events, of));
  const outputs = [0, 1].map(() => ({ tokens: [], score: null, finishReason: "deadline" as const }));
  const end = endOf([...transcript.end({ outputs, timings }, 1)]);
  assert.deepEqual(
    end.outputs.map(({ text, finishReason }) => [text, finishReason]),
    [
      ["K", "eos_token"],
      ["AE1 T S", "deadline"],
    ],
  );
});

test("what was impossible is so after JSON, too", () => {
  const of = prepared();
  const [first, second] = ids.map((id) => ({ id, logprob: -1, top: [{ id, logprob: -1 }] }));
  const impossible = { ...second!, logprob: -Infinity, top: [{ id: second!.id, logprob: -Infinity }] };
  const whole = new Transcript(of, target);
  const events = [...whole.take(0, first!), ...whole.take(0, impossible)];
  const log = new ResumedTokens(JSON.parse(JSON.stringify(events)) as TokenEvent[], of);
  const again = new Transcript(of, target, log);
  const outputs = [{ tokens: [first!, impossible], score: null, finishReason: "length" as const }];
  const [end, expected] = [again, whole].map((transcript) => [...transcript.end({ outputs, timings }, 1)].at(-1));
  assert.deepEqual(end, expected);
  assert.equal(expected?.type === "end" && expected.outputs[0]?.score, -Infinity);
});
