// Runs Lua by its digest, one call or many in one round trip, also on a Redis that has forgotten the script; and says what an error of Redis means.
import { createHash } from "node:crypto";
import type { Redis } from "ioredis";
import { AppError } from "../../errors.js";

export interface Script {
  readonly lua: string;
  readonly sha: string;
}

export interface ScriptCall {
  readonly keys: readonly string[];
  readonly args: readonly (string | number)[];
}

export function script(lua: string): Script {
  return { lua, sha: createHash("sha1").update(lua).digest("hex") };
}

/** Throws AppError "unavailable" when Redis can't be reached, or can't write now. */
export async function runScript(client: Redis, { lua, sha }: Script, { keys, args }: ScriptCall): Promise<unknown> {
  return orUnavailable(async () => {
    try {
      return await client.evalsha(sha, keys.length, ...keys, ...args);
    } catch (error) {
      if (!isNoScript(error)) throw error;
      return client.eval(lua, keys.length, ...keys, ...args);
    }
  });
}

/** All calls in one round trip, each atomic by itself. Throws as runScript does if any failed: the others may have been done. */
export async function runScripts(client: Redis, script: Script, calls: readonly ScriptCall[]): Promise<unknown[]> {
  if (calls.length === 0) return [];
  return orUnavailable(async () => {
    const replies = await runPipeline(client, script, calls);
    if (!replies.some(([error]) => isNoScript(error))) return replies.map(valueOf);
    await client.script("LOAD", script.lua);
    return (await runPipeline(client, script, calls)).map(valueOf);
  });
}

/** Passes on what act gives; errors of the connection become AppError "unavailable". */
export async function orUnavailable<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (isFault(error)) throw error;
    throw unreachable("Redis", error);
  }
}

/** @param what as a client reads it */
export function unreachable(what: "Redis" | "the queue", cause?: unknown): AppError {
  return new AppError("unavailable", `${what} can't be reached`, { retryAfterSeconds: 1, cause });
}

type Reply = [error: Error | null, value: unknown];

async function runPipeline(client: Redis, { sha }: Script, calls: readonly ScriptCall[]): Promise<Reply[]> {
  const pipeline = client.pipeline();
  for (const { keys, args } of calls) pipeline.evalsha(sha, keys.length, ...keys, ...args);
  return (await pipeline.exec()) ?? [];
}

function valueOf([error, value]: Reply): unknown {
  if (error !== null) throw error;
  return value;
}

function isNoScript(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith("NOSCRIPT");
}

// Before version 7 Redis put the answer to a command of a script into a sentence: "ERR Error running script (call to f_…):
// @user_script:15: @user_script: 15: -OOM command not …".
const answered = (words: string) => new RegExp(`(?:^|: -)(?:${words})\\b`, "u");

// Answers of a Redis that is there but not (now) fit to serve: starting, full, a replica, its disk broken.
const passing = answered(
  "LOADING|OOM|READONLY|BUSY|MASTERDOWN|NOREPLICAS|MISCONF|CLUSTERDOWN|TRYAGAIN|NOAUTH|UNKILLABLE",
);
const readOnly = answered("READONLY");

/** A replica said so. */
export function isReadOnly({ message }: Error): boolean {
  return readOnly.test(message);
}

/** An error that Redis answered because we asked wrongly: trying again won't help. */
function isFault(error: unknown): boolean {
  if (!(error instanceof Error)) return true;
  return error instanceof AppError || (error.name === "ReplyError" && !passing.test(error.message));
}
