// GET /: the page for browsers, a sign of life for probes. GET /web/*: the page's files, read once at the start.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { extname } from "node:path";
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

interface PageFile {
  readonly body: Buffer;
  readonly type: string;
  readonly etag: string;
}

/** Throws when web/ is not there. */
export function pageRoutes(app: App, version: string): void {
  const files = readFiles();
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
      if (wantsHtml(request)) sendFile(request, reply, files.get("index.html"));
      else void reply.send({ name: "seqserve", version, docs: "/docs", openapi: "/openapi.json" });
    },
  );
  const params = Type.Object({ file: Type.String() });
  app.get("/web/:file", { schema: { hide: true, params, response: errorAnswers(404) } }, (request, reply) => {
    sendFile(request, reply, files.get(request.params.file));
  });
}

function readFiles(): ReadonlyMap<string, PageFile> {
  const names = readdirSync(folder).filter((name) => extname(name) in types);
  return new Map(names.map((name) => [name, readPageFile(name)]));
}

function readPageFile(name: string): PageFile {
  const body = readFileSync(new URL(name, folder));
  const etag = `"${createHash("sha256").update(body).digest("base64url").slice(0, 27)}"`;
  return { body, type: types[extname(name)] ?? "application/octet-stream", etag };
}

function wantsHtml({ headers }: Pick<FastifyRequest, "headers">): boolean {
  return (headers.accept ?? "").toLowerCase().includes("text/html");
}

function sendFile({ headers }: Pick<FastifyRequest, "headers">, reply: FastifyReply, file: PageFile | undefined): void {
  if (file === undefined) throw new AppError("not_found", "no such file of the page");
  void reply
    .header("content-security-policy", policy)
    .header("x-content-type-options", "nosniff")
    .header("referrer-policy", "no-referrer")
    .header("cross-origin-opener-policy", "same-origin")
    .header("cache-control", "no-cache")
    .header("etag", file.etag);
  if (isKnown(headers["if-none-match"], file.etag)) void reply.code(304).send();
  else void reply.type(file.type).send(file.body);
}

function isKnown(sent: string | undefined, etag: string): boolean {
  if (sent === undefined) return false;
  return sent.split(",").some((one) => one.trim() === "*" || one.trim().replace(/^W\//u, "") === etag);
}
