// Idempotency-Key (draft-ietf-httpapi-idempotency-key-header): one start per key and body, however often and from wherever it is sent.
//
//   bindKey ──▶ bound to us: start; if that fails, the key is free again
//      └──▶ bound before: other body → 409; same body → the generation it was bound to. Where that does not appear (its node died)
//           it is started here, under the same id
import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { AppError, refuse } from "../../errors.js";
import type { Generations } from "../../queue/generations.js";
import type { KeyBinding } from "../../queue/log/token-log.js";

const field = "Idempotency-Key";
const maxKeyLength = 255;
const pollMs = 50;
const defaultPolls = 100;

/** The key of a request: a quoted string as the draft says, or bare visible characters as many clients send it. null without the header. */
export function idempotencyKey(header: string | string[] | undefined): string | null {
  if (header === undefined) return null;
  if (typeof header !== "string") return refuse(field, "must be sent once");
  const quoted = /^"((?:[ !#-[\]-~]|\\["\\])*)"$/u.exec(header)?.[1];
  const key = quoted === undefined ? header : quoted.replace(/\\(["\\])/gu, "$1");
  if (quoted === undefined && !/^[!#-~]*$/u.test(header))
    return refuse(field, 'must be "quoted", or visible ASCII characters');
  if (key === "") return refuse(field, "must not be empty");
  if (key.length > maxKeyLength)
    return refuse(field, `must have at most ${maxKeyLength} characters (got ${key.length})`);
  return key;
}

/** SHA-256 of a JSON value, whatever the order of its keys. */
export function hashBody(body: unknown): string {
  return createHash("sha256").update(canonicalJson(body)).digest("hex");
}

export interface KeyedStart {
  readonly owner: string;
  readonly key: string;
  readonly bodyHash: string;
  /** The id of the generation that `start` would start. */
  readonly id: string;
  /** Starts it under this id; harmless where it has started. */
  start(id: string): Promise<void>;
}

/** Starts it, or finds what was started with this key before. Throws AppError "conflict" when that was another body. */
export async function startOnce(
  generations: Pick<Generations, "bindKey" | "unbindKey"> & { find(id: string): Promise<unknown> },
  { owner, key, bodyHash, id, start }: KeyedStart,
  polls = defaultPolls,
): Promise<{ readonly id: string; readonly isReplay: boolean }> {
  let bound: KeyBinding = { id, bodyHash };
  for (let poll = 0; poll < polls; poll += 1) {
    bound = await generations.bindKey(owner, key, { id, bodyHash });
    if (bound.id === id) {
      await startOrUndo(
        () => start(id),
        () => generations.unbindKey(owner, key),
      );
      return { id, isReplay: false };
    }
    if (bound.bodyHash !== bodyHash)
      throw new AppError("conflict", "this key came with another body before", { field });
    if ((await generations.find(bound.id)) !== "gone") return { id: bound.id, isReplay: true };
    await sleep(pollMs);
  }
  // The same id: should that node live after all, both started one generation.
  await start(bound.id);
  return { id: bound.id, isReplay: false };
}

async function startOrUndo(start: () => Promise<void>, undo: () => Promise<void>): Promise<void> {
  try {
    await start();
  } catch (error) {
    await undo();
    throw error;
  }
}

// As RFC 8785 in what matters here: keys sorted, no white space.
function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const entries = Object.entries(value).sort(([left], [right]) => (left < right ? -1 : 1));
  return `{${entries.map(([name, inner]) => `${JSON.stringify(name)}:${canonicalJson(inner)}`).join(",")}}`;
}
