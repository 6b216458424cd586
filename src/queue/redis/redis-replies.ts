// What the scripts' replies mean: arrays of strings and integers in, the contract's types out. Pure.
import type { EndEvent } from "../../generation.js";
import type {
  FailureEvent,
  Found,
  GenerationRecord,
  GenerationState,
  LogEntry,
  LogEvent,
  Reading,
} from "../log/token-log.js";

/** A stream's entry: its id, then field and value. */
export type RawEntry = readonly [id: string, fields: readonly [name: string, value: string]];

export function entriesOf(raw: readonly RawEntry[]): LogEntry[] {
  return raw.map(([id, [, value]]) => ({ seq: Number(id.slice("0-".length)), event: JSON.parse(value) as LogEvent }));
}

export function readingOf(reply: unknown): Reading {
  const [state, top, entries] = reply as [Reading["state"], number | undefined, RawEntry[] | undefined];
  return { state, top: top ?? 0, entries: entriesOf(entries ?? []) };
}

export function foundOf(reply: unknown): Found {
  const [state, record, top, cancel, last] = reply as [GenerationState, string, number, number, string];
  if (!isThere(state)) return state;
  return {
    record: JSON.parse(record) as GenerationRecord,
    state,
    top,
    terminal: last === "" ? null : (JSON.parse(last) as EndEvent | FailureEvent),
    isCancelled: cancel === 1,
  };
}

function isThere(state: GenerationState | "expired" | "gone"): state is GenerationState {
  return state !== "expired" && state !== "gone";
}
