// Unknown routes: 405 with Allow when the path is known, else 404 with the nearest path.
import { AppError } from "../../errors.js";
import { suggestion } from "../../nearest.js";
import type { App } from "./app.js";

/** Call before any route is registered, for it watches them come, and after the hooks that every answer goes through. */
export function watchRoutes(app: App): void {
  const methodsOf = new Map<string, Set<string>>();
  app.addHook("onRoute", ({ url, method, schema }) => {
    if (url.startsWith("/docs") && schema?.hide === true) return;
    const methods = methodsOf.get(url) ?? new Set<string>();
    for (const name of [method].flat()) methods.add(name);
    methodsOf.set(url, methods);
  });
  // A hook, not a handler: what the body is like does not matter, and is never read.
  app.addHook("onRequest", async (request, reply) => {
    if (!request.is404) return;
    const [path = ""] = request.url.split("?");
    const allowed = [...methodsOf].filter(([pattern]) => matches(pattern, path)).flatMap(([, methods]) => [...methods]);
    if (allowed.length > 0) {
      reply.header("allow", allowed.join(", "));
      throw new AppError("method_not_allowed", `${request.method} is not for this path: ${allowed.join(", ")}`);
    }
    throw new AppError("not_found", `no such path${suggestion(path, [...methodsOf.keys()])}`);
  });
}

function matches(pattern: string, path: string): boolean {
  const wanted = pattern.split("/");
  const given = path.split("/");
  return wanted.length === given.length && wanted.every((part, i) => part.startsWith(":") || part === given[i]);
}
