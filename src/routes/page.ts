// GET /: the page for browsers, a sign of life for probes. GET /web/*: the page's files.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { extname } from "node:path";
import fastifyStatic from "@fastify/static";
import type { FastifyReply, FastifyRequest } from "fastify";
import { Type } from "typebox";
import { AppError } from "../errors.js";
import { errorAnswers, open } from "./http/schemas.js";
import type { App } from "./http/app.js";

// This file runs as dist/src/routes/page.js.
const folder = new URL("../../../web/", import.meta.url);

const types: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".svg": "image/svg+xml",
};

/** Only this server's own files and routes; no inline script or style, no frame around it. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const HomeSchema = Type.Object({
  name: Type.String(),
  version: Type.String(),
  docs: Type.String(),
  openapi: Type.String(),
});

/** Throws when web/ is not there. */
export async function pageRoutes(app: App, version: string): Promise<void> {
  const etags = fileEtags();
  // Its ETags are of times and sizes, on which nodes of one version would not agree: ours are of contents. Its type of a script is an old one.
  const headers = { etag: false, lastModified: false, cacheControl: false, acceptRanges: false, contentType: false };
  await app.register(fastifyStatic, { root: folder, serve: false, ...headers });
  const home = {
    200: {
      description: "What it is; to those who accept text/html, a page to try it",
      content: { "application/json": { schema: HomeSchema }, "text/html": { schema: Type.String() } },
    },
  };
  app.get(
    "/",
    { schema: { tags: ["health"], security: open, operationId: "getHome", summary: "A sign of life", response: home } },
    (request, reply) => {
      const vary = reply.getHeader("vary");
      reply.header("vary", vary === undefined ? "accept" : `${String(vary)}, accept`);
      if (wantsHtml(request)) sendPageFile(request, reply, "index.html", etags);
      else void reply.send({ name: "seqserve", version, docs: "/docs", openapi: "/openapi.json" });
    },
  );
  const params = Type.Object({ file: Type.String() });
  app.get("/web/:file", { schema: { hide: true, params, response: errorAnswers(404) } }, (request, reply) => {
    sendPageFile(request, reply, request.params.file, etags);
  });
}

/** Of the files that may be sent, by name. */
function fileEtags(): ReadonlyMap<string, string> {
  const names = readdirSync(folder).filter((name) => extname(name) in types);
  return new Map(names.map((name) => [name, etagOf(readFileSync(new URL(name, folder)))]));
}

function etagOf(body: Buffer): string {
  return `"${createHash("sha256").update(body).digest("base64url").slice(0, 27)}"`;
}

function wantsHtml({ headers }: Pick<FastifyRequest, "headers">): boolean {
  return (headers.accept ?? "").toLowerCase().includes("text/html");
}

function sendPageFile(
  { headers, raw }: Pick<FastifyRequest, "headers" | "raw">,
  reply: FastifyReply,
  name: string,
  etags: ReadonlyMap<string, string>,
): void {
  const etag = etags.get(name);
  // The library would hold them against an ETag that it does not have, and refuse with a 400.
  for (const precondition of ["if-match", "if-unmodified-since"]) delete raw.headers[precondition];
  if (etag === undefined) throw new AppError("not_found", "no such file of the page");
  void reply
    .header("content-security-policy", policy)
    .header("x-content-type-options", "nosniff")
    .header("referrer-policy", "no-referrer")
    .header("cross-origin-opener-policy", "same-origin")
    .header("cache-control", "no-cache")
    .header("etag", etag);
  if (matchesEtag(headers["if-none-match"], etag)) void reply.code(304).send();
  else void reply.type(types[extname(name)] ?? "application/octet-stream").sendFile(name);
}

function matchesEtag(sent: string | undefined, etag: string): boolean {
  if (sent === undefined) return false;
  return sent.split(",").some((one) => one.trim() === "*" || one.trim().replace(/^W\//u, "") === etag);
}
