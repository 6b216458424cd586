// The spans of one pick-up of a job: how long it waited in Redis, and the run on this worker. Pure.
//
//   added ──queue──▶ taken ──run──▶ settled, or back to the queue ──▶ … another worker's run, one attempt more
import type { Attributes, PastSpan, SpanStart } from "./spans.js";
import { pastSpan } from "./generation-spans.js";

export interface PickUp {
  readonly id: string;
  readonly model: string;
  readonly worker: string;
  /** From 1. */
  readonly attempt: number;
  /** Milliseconds since the epoch. */
  readonly addedAt: number;
  readonly takenAt: number;
}

/** Only of the first pick-up: when a later one's wait began, its worker does not know. */
export function waitInRedis({ attempt, addedAt, takenAt }: PickUp): PastSpan | null {
  if (attempt > 1) return null;
  return pastSpan("queue", [Math.min(addedAt, takenAt), takenAt], { "seqserve.queue": "redis" });
}

export function runStart({ id, model, worker, attempt, takenAt }: PickUp): SpanStart {
  const attributes: Attributes = {
    "seqserve.generation.id": id,
    "seqserve.attempt": attempt,
    "seqserve.worker": worker,
    "seqserve.model": model,
  };
  return { name: `run ${model}`, kind: "consumer", at: takenAt, attributes };
}
