// Errors on /v1: OpenAI's object, from the same AppError as everywhere else.
import type { AppError } from "../../../errors.js";

/** Whether a path belongs to OpenAI's surface. */
export function isOpenAi(url: string): boolean {
  return /^\/v1(?:\/|$|\?)/u.test(url);
}

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
