// What errors of Redis mean, as its versions word them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { AppError } from "../../../src/errors.js";
import { orUnavailable } from "../../../src/queue/redis/redis-script.js";

function replyError(message: string): Error {
  const error = new Error(message);
  error.name = "ReplyError";
  return error;
}

const inScript = "ERR Error running script (call to f_e82b625da72f3b5f4acda7102691311077c6f218): @user_script:15: ";

const passing = [
  "OOM command not allowed when used memory > 'maxmemory'. script: 4e2b, on @user_script:15.",
  `${inScript}@user_script: 15: -OOM command not allowed when used memory > 'maxmemory'.`,
  `${inScript}@user_script: 15: -READONLY You can't write against a read only replica.`,
  `${inScript}@user_script: 15: -MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.`,
  "LOADING Redis is loading the dataset in memory",
];

for (const message of passing) {
  test(`passes by waiting: ${message.slice(-60)}`, async () => {
    const error = replyError(message);
    await assert.rejects(
      orUnavailable(() => Promise.reject(error)),
      (met) => met instanceof AppError && met.kind === "unavailable" && met.cause === error,
    );
  });
}

const faults = [
  "WRONGTYPE Operation against a key holding the wrong kind of value",
  `${inScript}@user_script: 15: -WRONGTYPE Operation against a key holding the wrong kind of value`,
  "ERR unknown command 'XADD-OOM'",
];

for (const message of faults) {
  test(`is our fault: ${message.slice(-60)}`, async () => {
    const error = replyError(message);
    await assert.rejects(
      orUnavailable(() => Promise.reject(error)),
      error,
    );
  });
}
