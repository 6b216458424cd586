// What both token logs agree on besides the contract: which batches are well formed, what a cancelled generation ends with, how pages are numbered. Pure.
import { AppError } from "../../errors.js";
import { terminalOf, type FailureEvent, type GenerationRecord, type LogEntry } from "./token-log.js";

export const cancelledFailure: FailureEvent = {
  type: "failure",
  kind: "cancelled",
  message: "the generation was cancelled",
};

/** How long an expired generation is still known to have been there, in times of GENERATION_TTL. */
export const expiredForTtls = 10;

/** Throws for a batch that no log could hold: that is a fault of the caller, not of the log. */
export function checkBatch(entries: readonly LogEntry[]): void {
  entries.forEach((entry, i) => {
    if (entry.seq !== (entries[0]?.seq ?? 0) + i || entry.seq < 1) throw new Error("entries to append have gaps");
    if (terminalOf(entry) !== null && i < entries.length - 1) throw new Error("entries follow the terminal one");
  });
}

/** Where a record stands in its owner's list: these strings sort by age, then id. */
export function pagePosition({ createdAt, id }: Pick<GenerationRecord, "createdAt" | "id">): string {
  return `${String(createdAt).padStart(15, "0")}-${id}`;
}

/** What pagePosition makes. */
export const pagePositionPattern = "^[0-9]{15}-[0-9a-f]{32}$";

/** The id in a page position. Throws AppError "validation" for what pagePosition never made. */
export function idAtPosition(position: string): string {
  const id = new RegExp(pagePositionPattern, "u").test(position) ? position.slice(16) : undefined;
  if (id === undefined) throw new AppError("validation", "not a position of a list", { field: "before" });
  return id;
}
