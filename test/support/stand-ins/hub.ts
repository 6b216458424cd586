// A stand-in for the Hugging Face Hub: the calls that @huggingface/hub really makes, answered as the Hub answers them, and the faults that networks have.
//
//   /api/models/…/revision, tree (paged), paths-info     /owner/name/resolve/rev/path ─ LFS ─▶ 302 to another origin (the CDN, which takes ranges)
//                                                                                      └ small ▶ 307 to /api/resolve-cache/…
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";

export interface HubRepository {
  readonly files: ReadonlyMap<string, Buffer>;
  /** Reading files needs this token. */
  readonly gatedBy?: string;
  /** Its very existence needs this token. */
  readonly privateTo?: string;
}

export interface StandInHub {
  readonly url: string;
  readonly repositories: Map<string, HubRepository>;
  /** Method, path and Range of every request so far. */
  readonly requests: {
    method: string;
    path: string;
    range: string | undefined;
    fromCdn: boolean;
    token: string | undefined;
  }[];
  /** The connection breaks after this number of bytes of the file, this number of times. */
  cut(path: string, afterBytes: number, times: number): void;
  /** Other bytes than the tree promises. */
  corrupt(path: string): void;
  heal(): void;
  /** Ranges are ignored from now on, as some mirrors do. */
  ignoreRanges(): void;
  /** Every file is answered this number of milliseconds late, in small pieces. */
  slow(msPerPiece: number, pieceBytes: number): void;
  close(): Promise<void>;
}

const lfsFrom = 10_000;
const pageSize = 4;

export function repositoryOf(folder: string, prefix = ""): Map<string, Buffer> {
  const names = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    names.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [prefix + relative(folder, path), readFileSync(path)];
    }),
  );
}

export const sha256 = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");
const gitSha1 = (bytes: Buffer) => createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");

export function commitOf({ files }: HubRepository): string {
  const hash = createHash("sha1");
  for (const [path, bytes] of files) hash.update(path).update(bytes);
  return hash.digest("hex");
}

interface Faults {
  readonly cuts: Map<string, { afterBytes: number; times: number }>;
  readonly corrupted: Set<string>;
  ignoresRanges: boolean;
  slowMs: number;
  pieceBytes: number;
}

export async function startHub(): Promise<StandInHub> {
  const repositories = new Map<string, HubRepository>();
  const requests: StandInHub["requests"] = [];
  const faults: Faults = { cuts: new Map(), corrupted: new Set(), ignoresRanges: false, slowMs: 0, pieceBytes: 0 };
  const logged = (request: IncomingMessage, fromCdn: boolean) =>
    void requests.push({
      method: request.method ?? "",
      path: decodeURIComponent((request.url ?? "").split("?")[0] ?? ""),
      range: request.headers.range,
      fromCdn,
      token: request.headers.authorization,
    });
  const cdn = await listening((request, response) => {
    logged(request, true);
    // As S3: two ways to prove who one is are one too many.
    if (request.headers.authorization !== undefined) return void response.writeHead(400).end("InvalidArgument");
    const [, owner, name, ...path] = (request.url ?? "").split("/").map(decodeURIComponent);
    const bytes = repositories.get(`${owner}/${name}`)?.files.get(path.join("/"));
    if (bytes === undefined) return void response.writeHead(404).end();
    return void sendBytes(request, response, path.join("/"), bytes, faults);
  });
  const hub = await listening((request, response) => {
    logged(request, false);
    answer({ request, response, repositories, faults, cdnUrl: urlOf(cdn), hubUrl: urlOf(hub) });
  });
  return {
    url: urlOf(hub),
    repositories,
    requests,
    cut: (path, afterBytes, times) => void faults.cuts.set(path, { afterBytes, times }),
    corrupt: (path) => void faults.corrupted.add(path),
    heal: () => {
      faults.cuts.clear();
      faults.corrupted.clear();
      faults.ignoresRanges = false;
      faults.slowMs = 0;
    },
    ignoreRanges: () => void (faults.ignoresRanges = true),
    slow: (ms, bytes) => void ([faults.slowMs, faults.pieceBytes] = [ms, bytes]),
    close: async () => {
      for (const server of [hub, cdn]) {
        server.closeAllConnections();
        server.close();
        await once(server, "close");
      }
    },
  };
}

interface Call {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly repositories: ReadonlyMap<string, HubRepository>;
  readonly faults: Faults;
  readonly cdnUrl: string;
  readonly hubUrl: string;
}

function answer(call: Call): void {
  const url = new URL(call.request.url ?? "/", call.hubUrl);
  const path = decodeURIComponent(url.pathname);
  const api = /^\/api\/models\/([^/]+\/[^/]+)\/(revision|tree|paths-info)\/(.+)$/u.exec(path);
  const file = /^\/([^/]+\/[^/]+)\/(resolve|raw)\/([^/]+)\/(.+)$/u.exec(path);
  const cached = /^\/api\/resolve-cache\/models\/([^/]+\/[^/]+)\/([^/]+)\/(.+)$/u.exec(path);
  const [, name = ""] = api ?? file ?? cached ?? [];
  const repository = call.repositories.get(name);
  const token = call.request.headers.authorization?.replace("Bearer ", "");
  const isHidden = repository?.privateTo !== undefined && repository.privateTo !== token;
  if (repository === undefined || isHidden) return refuse(call, 401, "RepoNotFound", "Invalid username or password.");
  const revision = api?.[3] ?? file?.[3] ?? cached?.[2] ?? "";
  const commit = commitOf(repository);
  if (!["main", "HEAD", "v1", commit].includes(revision))
    return refuse(call, 404, "RevisionNotFound", `Invalid rev id: ${revision}`);
  if (api?.[2] === "revision") return json(call, modelBody(name, repository, url));
  if (api?.[2] === "tree") return tree(call, repository, url);
  if (api?.[2] === "paths-info") return void pathsInfo(call, repository);
  const wanted = file?.[4] ?? cached?.[3] ?? "";
  const bytes = repository.files.get(wanted);
  if (bytes === undefined) return refuse(call, 404, "EntryNotFound", "Entry not found");
  if (repository.gatedBy !== undefined && repository.gatedBy !== token) {
    const status = token === undefined ? 401 : 403;
    return refuse(call, status, "GatedRepo", `Access to model ${name} is restricted.`);
  }
  if (file?.[2] === "raw")
    return void call.response.writeHead(200).end(bytes.length < lfsFrom ? bytes : pointer(bytes));
  if (cached !== null) return void sendBytes(call.request, call.response, wanted, bytes, call.faults);
  return resolve(call, { name, commit, path: wanted, bytes });
}

function modelBody(name: string, repository: HubRepository, url: URL) {
  return {
    _id: "64b1e2f0a1b2c3d4e5f60718",
    id: name,
    private: repository.privateTo !== undefined,
    gated: repository.gatedBy === undefined ? false : "manual",
    pipeline_tag: "translation",
    downloads: 12,
    likes: 3,
    lastModified: "2025-01-02T03:04:05.000Z",
    // The Hub tells only what was asked for.
    ...(url.searchParams.getAll("expand").includes("sha") && { sha: commitOf(repository) }),
  };
}

function entriesOf({ files }: HubRepository) {
  const folders = [...new Set([...files.keys()].flatMap((path) => (path.includes("/") ? [path.split("/")[0]!] : [])))];
  return [
    ...folders.map((path) => ({ type: "directory", oid: "0".repeat(40), size: 0, path })),
    ...[...files].map(([path, bytes]) => entryOf(path, bytes)),
  ];
}

function entryOf(path: string, bytes: Buffer) {
  if (bytes.length < lfsFrom) return { type: "file", oid: gitSha1(bytes), size: bytes.length, path };
  const lfs = { oid: sha256(bytes), size: bytes.length, pointerSize: pointer(bytes).length };
  return { type: "file", oid: gitSha1(pointer(bytes)), size: bytes.length, lfs, xetHash: sha256(bytes), path };
}

function tree(call: Call, repository: HubRepository, url: URL): void {
  const entries = entriesOf(repository);
  const from = Number(url.searchParams.get("cursor") ?? 0);
  const next = from + pageSize;
  if (next < entries.length) {
    url.searchParams.set("cursor", String(next));
    call.response.setHeader("link", `<${url.href}>; rel="next"`);
  }
  json(call, entries.slice(from, next));
}

async function pathsInfo(call: Call, repository: HubRepository): Promise<void> {
  const parts: Buffer[] = [];
  for await (const part of call.request) parts.push(part as Buffer);
  const { paths } = JSON.parse(Buffer.concat(parts).toString()) as { paths: string[] };
  json(
    call,
    entriesOf(repository).filter(({ path }) => paths.includes(path)),
  );
}

interface Place {
  readonly name: string;
  readonly commit: string;
  readonly path: string;
  readonly bytes: Buffer;
}

function resolve({ request, response, cdnUrl, hubUrl }: Call, { name, commit, path, bytes }: Place): void {
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  response.setHeader("x-repo-commit", commit);
  if (bytes.length < lfsFrom) {
    response.writeHead(307, {
      location: `/api/resolve-cache/models/${name}/${commit}/${encoded}`,
      etag: `"${gitSha1(bytes)}"`,
    });
    return void response.end();
  }
  response.setHeader("x-linked-etag", `"${sha256(bytes)}"`);
  response.setHeader("x-linked-size", String(bytes.length));
  if (request.headers.accept?.includes("application/vnd.xet-fileinfo+json") === true) {
    const hash = sha256(bytes);
    response.setHeader("x-xet-hash", hash);
    response.setHeader(
      "link",
      `<${hubUrl}/api/models/${name}/xet-read-token/${commit}>; rel="xet-auth", <${hubUrl}/v1/reconstructions/${hash}>; rel="xet-reconstruction-info"`,
    );
    response.writeHead(200, { "content-type": "application/vnd.xet-fileinfo+json" });
    return void response.end(JSON.stringify({ hash }));
  }
  response.writeHead(302, { location: `${cdnUrl}/${name}/${encoded}` });
  response.end();
}

async function sendBytes(
  request: IncomingMessage,
  response: ServerResponse,
  path: string,
  whole: Buffer,
  faults: Faults,
): Promise<void> {
  const bytes = faults.corrupted.has(path) ? Buffer.from(whole).fill(120, whole.length - 1) : whole;
  const range = /^bytes=(\d+)-(\d*)$/u.exec(request.headers.range ?? "");
  response.setHeader("etag", `"${whole.length < lfsFrom ? gitSha1(whole) : sha256(whole)}"`);
  const isProbe = request.headers.range === "bytes=0-0";
  if (range === null || (faults.ignoresRanges && !isProbe)) {
    response.writeHead(200, { "content-length": bytes.length });
    return sendBody(response, path, bytes, faults);
  }
  const [start, end] = [Number(range[1]), Math.min(bytes.length - 1, Number(range[2] || bytes.length - 1))];
  if (start >= bytes.length) return void response.writeHead(416).end();
  const part = bytes.subarray(start, end + 1);
  response.writeHead(206, { "content-length": part.length, "content-range": `bytes ${start}-${end}/${bytes.length}` });
  return isProbe ? void response.end(part) : sendBody(response, path, part, faults);
}

async function sendBody(response: ServerResponse, path: string, body: Buffer, faults: Faults): Promise<void> {
  const cut = faults.cuts.get(path);
  if (cut !== undefined && cut.times > 0 && body.length > cut.afterBytes) {
    cut.times -= 1;
    // Long enough for what was sent to arrive.
    response.flushHeaders();
    response.write(body.subarray(0, cut.afterBytes));
    setTimeout(() => response.destroy(), 20);
    return;
  }
  for (let at = 0; faults.slowMs > 0 && at < body.length && !response.destroyed; at += faults.pieceBytes) {
    response.write(body.subarray(at, at + faults.pieceBytes));
    await new Promise((done) => setTimeout(done, faults.slowMs));
  }
  response.end(faults.slowMs > 0 ? undefined : body);
}

function refuse({ response }: Call, status: number, code: string, error: string): void {
  response.writeHead(status, { "x-error-code": code, "x-error-message": error, "content-type": "application/json" });
  response.end(JSON.stringify({ error }));
}

function json({ response }: Call, body: unknown): void {
  response.setHeader("content-type", "application/json; charset=utf-8");
  response.end(JSON.stringify(body));
}

function pointer(bytes: Buffer): Buffer {
  return Buffer.from(`version https://git-lfs.github.com/spec/v1\noid sha256:${sha256(bytes)}\nsize ${bytes.length}\n`);
}

async function listening(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<Server> {
  const server = createServer(handle).listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

function urlOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
