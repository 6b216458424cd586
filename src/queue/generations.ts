// Generations that outlive their request, as the routes see them: start one, follow its log after any seq, look it up, cancel it.
// MemoryGenerations keeps them in this process, BullGenerations in Redis; one contract suite runs on both.
import type { KeyBinding, LogEntry, LookupResult, LookupRecord, Page } from "./log/token-log.js";

export interface Generations {
  /** Resolves when it is admitted; one that runs already stays as it is. Throws AppError "overloaded" (with retryAfterSeconds) or "unavailable"; then nothing is stored. */
  start(record: LookupRecord): Promise<void>;
  /**
   * Entries after `after` as they come, the terminal one last; then it is over. Leaving early changes nothing for the generation.
   * Throws AppError "not_found", "gone" (expired), "log_lost" (the log is shorter than `after`, or lost what was passed on already),
   * "unavailable" (the log can't be reached for too long), or the signal's reason.
   */
  follow(id: string, after: number, signal: AbortSignal): AsyncIterable<LogEntry>;
  find(id: string): Promise<LookupResult>;
  /** False when there is nothing to cancel: ended, or never there. */
  cancel(id: string): Promise<boolean>;
  list(owner: string, page: { readonly before: string | null; readonly limit: number }): Promise<Page>;
  bindKey(owner: string, key: string, binding: KeyBinding): Promise<KeyBinding>;
  unbindKey(owner: string, key: string): Promise<void>;
  /** Refuses new ones from now on and resolves when those that run in this process have ended. */
  close(): Promise<void>;
}
