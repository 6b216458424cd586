// Every error a client can see: one class and one table. The code is the JSON field and the metric label.
// Thrown where known, mapped once: before the first byte to a status (routes/), afterwards to an SSE event.

export const errorKinds = {
  malformed: { status: 400, code: "validation" },
  too_large: { status: 413, code: "validation" },
  wrong_type: { status: 415, code: "validation" },
  validation: { status: 422, code: "validation" },
  unauthorized: { status: 401, code: "unauthorized" },
  not_found: { status: 404, code: "not_found" },
  method_not_allowed: { status: 405, code: "not_found" },
  conflict: { status: 409, code: "conflict" },
  gone: { status: 410, code: "gone" },
  rate_limited: { status: 429, code: "rate_limited" },
  overloaded: { status: 429, code: "overloaded" },
  log_lost: { status: 410, code: "log_lost" },
  generation: { status: 424, code: "generation" },
  cancelled: { status: 499, code: "cancelled" },
  internal: { status: 500, code: "internal" },
  not_implemented: { status: 501, code: "not_implemented" },
  unavailable: { status: 503, code: "unavailable" },
  deadline: { status: 504, code: "deadline" },
} as const;

export type ErrorKind = keyof typeof errorKinds;

/** Said in parentheses behind the reason: what would help, or where to look, about the text as it was sent. */
export interface Advice {
  /** The field that `text` is about, shown before it. Renamed with the error's own field. */
  readonly field?: string;
  readonly text: string;
}

export interface ErrorDetails {
  /** The request field at fault, as the client wrote it: "parameters.top_k". */
  readonly field?: string | undefined;
  readonly advice?: readonly Advice[];
  /** The reason names its field in its own words: the message does not begin with the field. */
  readonly isSentence?: boolean;
  /** Seconds after which a retry makes sense. */
  readonly retryAfterSeconds?: number | undefined;
  readonly cause?: unknown;
}

/**
 * An error with a kind of the table, in parts: "field: reason (advice)" is its message.
 * Across a wire only { kind, message, field, retryAfterSeconds } travels: the message arrives as a reason without a field.
 */
export class AppError extends Error {
  override readonly name = "AppError";
  readonly kind: ErrorKind;
  readonly field: string | undefined;
  readonly reason: string;
  readonly advice: readonly Advice[];
  readonly isSentence: boolean;
  readonly retryAfterSeconds: number | undefined;

  constructor(kind: ErrorKind, reason: string, details: ErrorDetails = {}) {
    const { field, advice = [], isSentence = false, retryAfterSeconds, cause } = details;
    const shown = advice.map((one) => (one.field === undefined ? one.text : `${one.field} ${one.text}`)).join(", ");
    const subject = field === undefined || isSentence ? "" : `${field}: `;
    super(`${subject}${reason}${shown === "" ? "" : ` (${shown})`}`, { cause });
    this.kind = kind;
    this.field = field;
    this.reason = reason;
    this.advice = advice;
    this.isSentence = isSentence;
    this.retryAfterSeconds = retryAfterSeconds;
  }

  get status(): number {
    return errorKinds[this.kind].status;
  }

  get code(): string {
    return errorKinds[this.kind].code;
  }

  /** The same error with fields as the client wrote them. Advice is renamed only with the field itself. */
  renamed(rename: (field: string) => string): AppError {
    const field = this.field === undefined ? undefined : rename(this.field);
    if (field === this.field) return this;
    const advice = this.advice.map((one) => (one.field === undefined ? one : { ...one, field: rename(one.field) }));
    const { kind, reason, isSentence, retryAfterSeconds } = this;
    return new AppError(kind, reason, { field, advice, isSentence, retryAfterSeconds, cause: this });
  }
}

/** Refuses a request: 422, naming the field. */
export function refuse(field: string, reason: string, advice: readonly Advice[] = []): never {
  throw new AppError("validation", reason, { field, advice });
}

/** What every request gets while the server drains. */
export function shuttingDown(): AppError {
  return new AppError("unavailable", "the server is shutting down", { retryAfterSeconds: 1 });
}
