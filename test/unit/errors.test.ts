// AppError: its message is derived from its parts, and renaming a field keeps the rest.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AppError, refuse, shuttingDown } from "../../src/errors.js";

const advice = [{ field: "parameters.truncate", text: "cuts" }, { text: "at 3" }];

test("the message is made of field, reason and advice", () => {
  const messageOf = (...details: ConstructorParameters<typeof AppError>) => new AppError(...details).message;
  assert.equal(messageOf("internal", "internal error"), "internal error");
  assert.equal(messageOf("not_found", "no such model", { field: "model" }), "model: no such model");
  const details = { field: "model", isSentence: true };
  assert.equal(messageOf("unavailable", 'model "a" is loading', details), 'model "a" is loading');
  assert.equal(
    messageOf("validation", "too long", { field: "inputs", advice }),
    "inputs: too long (parameters.truncate cuts, at 3)",
  );
});

test("refuse throws a validation error in parts", () => {
  assert.throws(() => refuse("inputs", "too long", advice), {
    name: "AppError",
    kind: "validation",
    status: 422,
    field: "inputs",
    reason: "too long",
    advice,
  });
});

test("a renamed field takes its advice along and keeps everything else", () => {
  const error = new AppError("unavailable", "too long", { field: "inputs", advice, retryAfterSeconds: 5 });
  const short = (field: string) => (field === "inputs" ? "prompt[2]" : field.replace("parameters.", ""));
  const renamed = error.renamed(short);
  assert.equal(renamed.message, "prompt[2]: too long (truncate cuts, at 3)");
  assert.deepEqual(
    [renamed.kind, renamed.field, renamed.retryAfterSeconds, renamed.cause],
    ["unavailable", "prompt[2]", 5, error],
  );
  assert.equal(
    error.renamed((field) => (field === "inputs" ? field : "other")),
    error,
    "advice alone is not renamed",
  );
  const fieldless = shuttingDown();
  assert.equal(fieldless.renamed(short), fieldless);
});
