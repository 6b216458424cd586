// Errors on /v1: OpenAI's object, from the same AppError as everywhere else.
import type { FastifyReply, FastifyRequest } from "fastify";
import type { AppError } from "../../../errors.js";
import type { App } from "../../http/app.js";
import { answerError, errorHandler } from "../../http/errors.js";

const types: Readonly<Record<string, string>> = {
  validation: "invalid_request_error",
  not_found: "invalid_request_error",
  unauthorized: "authentication_error",
  overloaded: "rate_limit_error",
  rate_limited: "rate_limit_error",
};

/** `param` is the field at fault; `code` ours, as error_type on the other routes. */
export function openAiError({ message, code, field }: AppError) {
  return { error: { message, type: types[code] ?? "server_error", param: field ?? null, code } };
}

/** For the scopes of OpenAI's routes. */
export const answerOpenAiError = errorHandler(openAiError);

/** In a scope with the prefix /v1: what is below it and no route is answered by this scope's error handler. */
export function openAiUnknownRoutes(scope: App): void {
  scope.setErrorHandler(answerOpenAiError);
  // The hook of not-found.ts throws before it is called: here only so that the error is this scope's.
  scope.setNotFoundHandler(async () => undefined);
}

/** For paths that the router can't read: they reach no scope. */
export function answerUnreadablePath(thrown: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const isOpenAi = /^\/v1(?:\/|$|\?)/u.test(request.url);
  return (isOpenAi ? answerOpenAiError : answerError)(thrown, request, reply);
}
