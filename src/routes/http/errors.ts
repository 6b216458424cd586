// Errors become answers here and nowhere else: AppError, Fastify's own and surprises, as TGI's {error, error_type} plus the field at fault.
// A surface with bodies of its own (OpenAI's) makes its handler with errorHandler().
import type { Socket } from "node:net";
import type { FastifyError, FastifyReply, FastifyRequest } from "fastify";
import { AppError, type ErrorKind } from "../../errors.js";
import type { ErrorBody } from "./schemas.js";
import { validationError } from "./validation-message.js";

/** The AppError a client may see. Surprises become "internal" without their text, which stays in `cause`. */
export function toAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (!(error instanceof Error)) return new AppError("internal", "internal error", { cause: error });
  const { validation, validationContext = "body", statusCode } = error as Partial<FastifyError>;
  if (validation !== undefined) return validationError(validation, validationContext);
  if (statusCode === undefined || statusCode < 400 || statusCode >= 500) {
    return new AppError("internal", "internal error", { cause: error });
  }
  return new AppError(kindOfStatus[statusCode] ?? "malformed", requestProblem(error as Partial<FastifyError>), {
    cause: error,
  });
}

const kindOfStatus: Readonly<Record<number, ErrorKind>> = {
  400: "malformed",
  404: "not_found",
  413: "too_large",
  415: "wrong_type",
};

const problems: Readonly<Record<string, string>> = {
  FST_ERR_CTP_EMPTY_JSON_BODY: "body: must not be empty",
  FST_ERR_CTP_BODY_TOO_LARGE: "body: too large (BODY_LIMIT)",
  FST_ERR_CTP_INVALID_MEDIA_TYPE: "content-type: must be application/json",
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: "content-length: does not match the body",
  // JSON.parse's own message quotes the text it stumbles over: not repeated.
  FST_ERR_CTP_INVALID_JSON_BODY: "body: not valid JSON, or with a forbidden key such as __proto__",
};

function requestProblem({ code = "", message = "" }: Partial<FastifyError>): string {
  return problems[code] ?? message;
}

/** TGI's shape; `field` is ours. */
export function errorBody(error: AppError): ErrorBody {
  const { field, code, message } = error;
  return { error: message, error_type: code, ...(field === undefined ? {} : { field }) };
}

type ErrorHandler = (thrown: unknown, request: FastifyRequest, reply: FastifyReply) => FastifyReply;

/** A handler for Fastify's setErrorHandler: a status, headers, and the body that `bodyOf` makes. */
export function errorHandler(bodyOf: (error: AppError) => object): ErrorHandler {
  return (thrown, request, reply) => {
    const error = toAppError(thrown);
    logError(error, request);
    addErrorHeaders(error, reply);
    return reply.code(error.status).type("application/json; charset=utf-8").send(bodyOf(error));
  };
}

/** For every route whose scope sets no other. */
export const answerError = errorHandler(errorBody);

function addErrorHeaders({ kind, retryAfterSeconds }: AppError, reply: FastifyReply): void {
  if (retryAfterSeconds !== undefined) {
    reply.header("retry-after", retryAfterSeconds);
    reply.header("retry-after-ms", retryAfterSeconds * 1000);
  }
  if (kind === "unavailable") reply.header("connection", "close");
  // Closing while the client still sends would reset the connection and lose the answer: Node reads the rest away, requestTimeout bounds it.
  if (kind === "too_large") reply.removeHeader("connection");
  if (kind === "unauthorized") reply.header("www-authenticate", "Bearer");
}

/** Messages and even field names may be what a user sent: only the server's own faults are logged with theirs. */
export function logError(error: AppError, { log }: Pick<FastifyRequest, "log">): void {
  const { code, kind, status } = error;
  if (status >= 500 && error.kind !== "unavailable") log.error({ err: error, code }, "request failed");
  else if (status === 424) log.error({ err: error, code }, "generation failed");
  else log.debug({ code, kind }, "request refused");
}

/** For bytes that never became a request. */
export function answerClientError(error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === "ECONNRESET" || socket.destroyed || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, problem] = rawProblems[error.code ?? ""] ?? ["400 Bad Request", "not a valid HTTP request"];
  const body = JSON.stringify({ error: problem, error_type: "validation" } satisfies ErrorBody);
  const head = `HTTP/1.1 ${status}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n`;
  socket.end(head + body);
}

const rawProblems: Readonly<Record<string, readonly [string, string]>> = {
  HPE_HEADER_OVERFLOW: ["431 Request Header Fields Too Large", "headers: too large"],
  ERR_HTTP_REQUEST_TIMEOUT: ["408 Request Timeout", "the request took too long to arrive"],
};
