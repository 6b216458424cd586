// What routes know of waiting: one method to submit, one number to watch. MemoryQueue runs in this process; every queue passes the same contract suite.
import type { Generate } from "../generation.js";
import type { Depth } from "./admission.js";

export interface GenerationQueue {
  /**
   * Yields "accepted" as soon as the generation has its place, then what Generate yields.
   * The first next() rejects with AppError "overloaded" (with retryAfterSeconds) when the queue is full, and "unavailable" when it is closed.
   */
  readonly submit: Generate;
  depth(): Promise<Depth>;
  /** Refuses new generations from now on and resolves when the running ones have ended. */
  close(): Promise<void>;
}
