// The page over HTTP: who gets it, under which policy, and how caches ask again.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { after, before, describe, test } from "node:test";
import { testServer, type TestServer } from "../support/servers/scripted.js";

let server: TestServer;
before(async () => {
  server = await testServer({ config: { apiKeys: ["secret"], corsOrigin: ["https://other.example"] } });
});
after(() => server.close());

const get = (url: string, headers: Record<string, string> = {}) => server.app.inject({ url, headers });
const browser = { accept: "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8" };

describe("GET /", () => {
  test("is a page for browsers, without a key", async () => {
    const { statusCode, headers, body } = await get("/", browser);
    assert.equal(statusCode, 200);
    assert.equal(headers["content-type"], "text/html; charset=utf-8");
    assert.match(body, /^<!doctype html>/u);
  });

  test("is JSON for probes, whatever else they accept", async () => {
    for (const accept of ["", "*/*", "application/json"]) {
      const { statusCode, headers, body } = await get("/", accept === "" ? {} : { accept });
      assert.equal(statusCode, 200);
      assert.match(String(headers["content-type"]), /^application\/json/u);
      assert.equal((JSON.parse(body) as { name: string }).name, "seqserve");
    }
  });

  test("tells caches that it depends on Accept, besides what it depended on before", async () => {
    assert.equal((await get("/", browser)).headers["vary"], "accept");
    const other = await get("/", { ...browser, origin: "https://other.example" });
    assert.equal(other.headers["vary"], "origin, accept");
  });

  test("allows scripts and styles of this server only, and no frame around it", async () => {
    const { headers, body } = await get("/", browser);
    const policy = String(headers["content-security-policy"]);
    assert.match(policy, /default-src 'none'/u);
    assert.match(policy, /frame-ancestors 'none'/u);
    assert.ok(!policy.includes("unsafe"));
    assert.equal(headers["x-content-type-options"], "nosniff");
    assert.ok(
      !/<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|https?:/u.test(body),
      "nothing inline, nothing from elsewhere",
    );
  });
});

describe("GET /web/*", () => {
  const names = readdirSync("web");

  test("gives a file whatever its reader supposed of an older one: preconditions are for those who write", async () => {
    const long = new Date(0).toUTCString();
    for (const headers of [{ "if-match": '"x"' }, { "if-unmodified-since": long }, { "if-modified-since": long }]) {
      for (const url of ["/web/main.js", "/"]) {
        const { statusCode, headers: shown } = await get(url, { ...browser, ...headers });
        assert.equal(statusCode, 200, JSON.stringify(headers));
        assert.equal(typeof shown["etag"], "string");
      }
    }
  });

  test("gives each file with its type", async () => {
    const types: Record<string, RegExp> = {
      html: /^text\/html/u,
      css: /^text\/css/u,
      js: /^text\/javascript/u,
      svg: /^image\/svg/u,
    };
    for (const name of names) {
      const { statusCode, headers, rawPayload } = await get(`/web/${name}`);
      assert.equal(statusCode, 200, name);
      assert.match(String(headers["content-type"]), types[name.split(".").at(-1)!]!, name);
      assert.deepEqual(rawPayload, readFileSync(`web/${name}`));
    }
  });

  test("answers 304 to who has it, and to nobody else", async () => {
    const { headers } = await get("/web/main.js");
    const etag = String(headers["etag"]);
    assert.equal(headers["cache-control"], "no-cache");
    for (const sent of [etag, `W/${etag}`, `"x", ${etag}`, "*"]) {
      const again = await get("/web/main.js", { "if-none-match": sent });
      assert.equal(again.statusCode, 304, sent);
      assert.equal(again.body, "");
      assert.equal(again.headers["etag"], etag);
    }
    assert.equal((await get("/web/main.js", { "if-none-match": '"x"' })).statusCode, 200);
  });

  test("gives nothing else, nor anything outside", async () => {
    for (const path of [
      "nothing.js",
      "..%2fpackage.json",
      "%2e%2e/package.json",
      "../package.json",
      "__proto__",
      "constructor",
    ]) {
      const { statusCode, body } = await get(`/web/${path}`);
      assert.equal(statusCode, 404, path);
      assert.equal((JSON.parse(body) as { error_type: string }).error_type, "not_found");
    }
  });

  test("the whole page is small", () => {
    const bytes = names.reduce((sum, name) => sum + readFileSync(`web/${name}`).length, 0);
    assert.ok(bytes < 60_000, `${bytes} bytes`);
  });
});
