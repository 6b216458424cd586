// Whose a request is: generations that can be looked up are bound to the API key that began them.
import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

/** The key of `Authorization: Bearer <key>`, or null. */
export function sentKey({ authorization }: Pick<IncomingHttpHeaders, "authorization">): string | null {
  return /^bearer (.+)$/iu.exec(authorization ?? "")?.[1] ?? null;
}

/** A digest of the request's key, which a hook has checked; "" on a server without keys, where all callers are one. */
export function ownerOf(headers: IncomingHttpHeaders, keys: readonly string[]): string {
  const key = keys.length === 0 ? null : sentKey(headers);
  return key === null ? "" : createHash("sha256").update(key).digest("hex");
}
