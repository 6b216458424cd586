// Thousands of malformed requests, the same ones every time: never a 5xx, never silence, always an error with a reason.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { once } from "node:events";
import { test } from "node:test";
import { below, pick, scaled, seededRandom } from "../support/random.js";
import { testServer } from "../support/servers/scripted.js";

type Random = () => number;

const names = [
  "inputs",
  "model",
  "parameters",
  "stream",
  "ids",
  "skip_special_tokens",
  "temperature",
  "top_k",
  "stop",
  "num_beams",
  "bad_words_ids",
  "sequence_bias",
  "decoder_input_ids",
  "exponential_decay_length_penalty",
  "forced_eos_token_id",
  "early_stopping",
  "watermark",
  "grammar",
  "seed",
  "details",
  "hasOwnProperty",
  "toString",
  "__defineGetter__",
  "constructor",
  "length",
  "",
  "$ref",
  "a/b",
  "a~b",
  "0",
];
const scalars: unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1,
  1.5,
  1e308,
  -1e308,
  2 ** 53,
  2 ** 31,
  "",
  "hi",
  "\u0000",
  "\uD800",
  "\uDC00x",
  "a\r\nb",
  "🙂",
  "never",
  "cancel",
  " ",
  "x".repeat(2000),
];

function value(random: Random, depth: number): unknown {
  const kind = below(random, depth > 4 ? 3 : 6);
  if (kind < 3) return pick(random, scalars);
  if (kind < 5) return Array.from({ length: below(random, 4) }, () => value(random, depth + 1));
  return object(random, depth + 1);
}

function object(random: Random, depth: number): Record<string, unknown> {
  return Object.fromEntries(
    Array.from({ length: below(random, 5) }, () => [pick(random, names), value(random, depth)]),
  );
}

/** A request that is nearly right, with a few fields spoilt. */
function nearlyRight(random: Random): unknown {
  const parameters = below(random, 3) === 0 ? value(random, 1) : object(random, 1);
  return {
    inputs: below(random, 3) === 0 ? value(random, 1) : "hi there",
    parameters,
    ...(below(random, 3) === 0 ? object(random, 2) : {}),
  };
}

function damaged(random: Random, text: string): string {
  const at = below(random, text.length + 1);
  const junk = pick(random, [
    "",
    "{",
    "}",
    "[",
    '"',
    "\\u12",
    "\u0000",
    ",",
    ":",
    "NaN",
    "'",
    "\uFEFF",
    "[".repeat(5000),
  ]);
  return text.slice(0, at) + junk + text.slice(at + below(random, 3));
}

function payload(random: Random): string {
  const shape = pick(random, [nearlyRight, nearlyRight, (r: Random) => value(r, 0)])(random);
  const text = JSON.stringify(shape);
  return below(random, 4) === 0 ? damaged(random, text) : text;
}

const types = [
  "application/json",
  "application/json",
  "application/json",
  "application/json; charset=utf-8",
  "text/plain",
  "",
  "application/json;\tx",
  "multipart/form-data",
];
const paths = ["/generate", "/generate", "/generate_stream", "/tokenize", "/detokenize"];

const bodies = scaled(2500);

test(`${bodies} malformed bodies get an answer below 500 that says what is wrong`, async () => {
  const server = await testServer({ config: { maxInputs: 4 } });
  const random = seededRandom(20261124);
  const seen = new Map<number, number>();
  for (let i = 0; i < bodies; i++) {
    const body = payload(random);
    const url = pick(random, paths);
    const type = pick(random, types);
    const response = await server.app.inject({
      method: "POST",
      url,
      payload: body,
      headers: type === "" ? {} : { "content-type": type },
    });
    const { statusCode: status } = response;
    seen.set(status, (seen.get(status) ?? 0) + 1);
    assert.ok(status < 500, `${status} for ${url} ${type} ${body.slice(0, 500)}`);
    assert.ok(response.headers["x-request-id"]);
    if (status < 400) continue;
    const answer = JSON.parse(response.body) as { error: string; error_type: string; field?: string };
    assert.ok(answer.error.length > 0 && answer.error.length < 400, answer.error);
    assert.ok(answer.error_type.length > 0);
    if (status === 422)
      assert.ok(answer.field !== undefined && answer.error.startsWith(answer.field), `${answer.error} names its field`);
  }
  for (const status of [200, 400, 415, 422])
    assert.ok((seen.get(status) ?? 0) > scaled(20), `${status} happens: ${JSON.stringify([...seen])}`);
  assert.deepEqual(await server.queue.depth(), { queuedRequests: 0, queuedTokens: 0, running: 0 });
  await server.close();
});

test("damaged HTTP gets a 4xx and a closed connection, and the server lives on", async () => {
  const server = await testServer();
  const url = await server.listen();
  const port = Number(new URL(url).port);
  const head = "POST /generate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
  const requests = [
    "GARBAGE\r\n\r\n",
    "POST /generate HTTP/9.9\r\n\r\n",
    `${head}Content-Length: abc\r\n\r\n{}`,
    `${head}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n{}`,
    `${head}Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n`,
    `${head}X: ${"y".repeat(20_000)}\r\n\r\n`,
    `${head}X-Request-Id: ${"y".repeat(500)}\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}`,
    "GET /%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "GET /models/%ff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "FOO / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "\u0016\u0003\u0001\u0002\u0000\u0001",
  ];
  for (const request of requests) {
    const socket = connect(port, "127.0.0.1");
    let answer = "";
    socket.on("data", (chunk: Buffer) => (answer += chunk.toString()));
    socket.on("error", () => undefined);
    socket.write(request);
    await once(socket, "close");
    assert.match(answer, /^HTTP\/1\.1 4\d\d /u, JSON.stringify(request.slice(0, 60)));
    assert.match(answer, /"error_type":"(validation|not_found)"/u, answer);
  }
  assert.equal((await fetch(`${url}/health/live`)).status, 200);
  await server.close();
});

test("a body of 20 MB is refused by an answer that the client gets to read", async () => {
  const server = await testServer();
  const url = await server.listen();
  for (let i = 0; i < 5; i++) {
    const headers = { "content-type": "application/json" };
    const response = await fetch(`${url}/generate`, { method: "POST", headers, body: "a".repeat(20_000_000) });
    assert.equal(response.status, 413);
  }
  await server.close();
});
