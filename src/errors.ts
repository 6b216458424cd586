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

export interface ErrorDetails {
  /** The request field at fault, as the client wrote it: "parameters.top_k". */
  readonly field?: string;
  /** Seconds after which a retry makes sense. */
  readonly retryAfterSeconds?: number;
  readonly cause?: unknown;
}

/** An error with a kind of the table. Across a wire only { kind, message, field, retryAfterSeconds } travels. */
export class AppError extends Error {
  override readonly name = "AppError";
  readonly kind: ErrorKind;
  readonly field: string | undefined;
  readonly retryAfterSeconds: number | undefined;

  constructor(kind: ErrorKind, message: string, details: ErrorDetails = {}) {
    super(message, { cause: details.cause });
    this.kind = kind;
    this.field = details.field;
    this.retryAfterSeconds = details.retryAfterSeconds;
  }

  get status(): number {
    return errorKinds[this.kind].status;
  }

  get code(): string {
    return errorKinds[this.kind].code;
  }
}
