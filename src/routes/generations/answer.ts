// What clients see of a generation that can be looked up: its state, and each entry of its log as the event that /generate streams.
import { type ErrorKind } from "../../errors.js";
import type { GenerationStatus, LogEntry, LookupRecord, LookupStatus } from "../../queue/log/token-log.js";
import type { StateBody, StatusName, Summary } from "./schemas.js";
import { errorBody } from "../http/errors.js";
import { generationBody, endEvent, tokenEvent } from "../generate/answer.js";
import type { SseEvent } from "../http/sse.js";
import type { Inference } from "../../inference/inference.js";
import { failureError } from "../../queue/log/token-log.js";

/** The piece of a decoder id of a model, for details.prefill. */
export type PieceOf = (model: string, id: number) => string;

/** Without what it gave. */
export function summaryBody(status: GenerationStatus): Summary {
  const { record, lastSeq } = status;
  return {
    id: record.id,
    status: statusName(status),
    model: record.prepared.model,
    created_at: new Date(record.createdAt).toISOString(),
    priority: record.priority,
    last_event_id: lastSeq,
  };
}

/** All there is to know: GET /generations/{id} and webhooks. */
export function stateBody(status: LookupStatus, pieceOf: PieceOf): StateBody {
  const { terminal, record } = status;
  const { prepared, request } = record;
  const piece = (id: number) => pieceOf(prepared.model, id);
  const end = terminal?.type === "end" ? terminal : null;
  return {
    ...summaryBody(status),
    result: end && generationBody({ text: request.text, prepared }, end, request.parameters, piece),
    error: terminal?.type === "failure" ? errorBody(failureError(terminal)) : null,
  };
}

/** JSON text: what GET /generations/{id} answers, for a webhook. */
export function webhookWriter({ detokenize }: Pick<Inference, "detokenize">): (status: LookupStatus) => string {
  return (status) => JSON.stringify(stateBody(status, (model, id) => detokenize(model, [id], false)));
}

/** An entry as an event, numbered as in the log. */
export function logEvent({ prepared, request }: LookupRecord, { seq, event }: LogEntry): SseEvent {
  const { text, parameters } = request;
  const position = { index: seq };
  if (event.type === "token") return { id: seq, data: tokenEvent(event, parameters, position) };
  if (event.type === "failure") return { id: seq, event: "error", data: errorBody(failureError(event)) };
  return { id: seq, event: "end", data: endEvent({ text, prepared }, event, parameters, position) };
}

const statusOfFailure: Partial<Record<ErrorKind, StatusName>> = { cancelled: "cancelled" };

function statusName({ state, terminal }: GenerationStatus): StatusName {
  if (state !== "ended" || terminal === null) return state === "queued" ? "queued" : "running";
  return terminal.type === "end" ? "succeeded" : (statusOfFailure[terminal.kind] ?? "failed");
}
