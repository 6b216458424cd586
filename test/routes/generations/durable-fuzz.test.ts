// Thousands of odd requests to /generations, the same ones every time: never a 5xx, never silence, always an error with a reason.
import assert from "node:assert/strict";
import { test } from "node:test";
import { below, pick, scaled, seededRandom } from "../../support/random.js";
import { testServer } from "../../support/servers/scripted.js";

type Random = () => number;

const words =
  "-1 0 1 2 3 7 1e9 NaN null undefined true [] {} .. / // %00 %ff %2e%2e %F0%9F 0x1 ' \" \\ ; , = & # ? * : @ ü 🙂 __proto__ constructor -0";
const odd = [...words.split(" "), "", " ", "\t", "a".repeat(90), "9".repeat(40), "0".repeat(32), "f".repeat(32)];
const headerNames = ["last-event-id", "idempotency-key", "accept", "x-request-id", "content-type", "authorization"];
const queryNames = ["limit", "before", "last_event_id", "id", "__proto__", "constructor", "", "limit[]", "x"];

/** Header values that a client can send at all. */
function headerValue(random: Random): string {
  const value = Array.from({ length: 1 + below(random, 2) }, () => pick(random, odd)).join(
    pick(random, ["", " ", '"', ", "]),
  );
  return value.replaceAll(/[^\t\u0020-\u007E\u0080-\u00FF]/gu, "").trim();
}

function url(random: Random, ids: readonly string[]): string {
  const id = below(random, 2) === 0 ? pick(random, ids) : encodeURIComponent(pick(random, odd));
  const path = pick(random, ["/generations", `/generations/${id}`, `/generations/${id}/events`]);
  const query = Array.from({ length: below(random, 3) }, () => {
    const value = below(random, 2) === 0 ? pick(random, odd) : encodeURIComponent(pick(random, odd));
    return `${pick(random, queryNames)}=${value.replaceAll(/[\s#]/gu, "")}`;
  });
  return query.length === 0 ? path : `${path}?${query.join("&")}`;
}

function headers(random: Random): Record<string, string> {
  return Object.fromEntries(
    Array.from({ length: below(random, 3) }, () => [pick(random, headerNames), headerValue(random)]),
  );
}

function body(random: Random): string {
  const value = () => pick<unknown>(random, [...odd, 0, 5, 11, 1.5, null, true, [], {}, ["a"], { a: 1 }]);
  const names = ["inputs", "model", "parameters", "priority", "webhook_url", "stream", "__proto__", "x"];
  const fields = Object.fromEntries(Array.from({ length: below(random, 4) }, () => [pick(random, names), value()]));
  return JSON.stringify(below(random, 4) === 0 ? value() : { inputs: "hi there", ...fields });
}

const requests = scaled(3000);

test(`${requests} odd ids, queries, headers and bodies get an answer below 500 that says what is wrong`, async () => {
  const server = await testServer({ config: { webhookSecret: "s" } });
  const random = seededRandom(20261126);
  const ids: string[] = [];
  for (let i = 0; i < 5; i += 1) {
    const started = await server.app.inject({ method: "POST", url: "/generations", payload: { inputs: `a b ${i}` } });
    ids.push((JSON.parse(started.body) as { id: string }).id);
  }
  const seen = new Map<number, number>();
  for (let i = 0; i < requests; i += 1) {
    const method = pick(random, ["GET", "GET", "POST", "POST", "DELETE", "PUT", "HEAD"] as const);
    const target = method === "POST" && below(random, 2) === 0 ? "/generations" : url(random, ids);
    const payload = method === "POST" || method === "PUT" ? { payload: body(random) } : {};
    const sent = { "content-type": "application/json", ...headers(random) };
    const { "content-type": type, ...others } = sent;
    const response = await server.app.inject({
      method,
      url: target,
      headers: "payload" in payload ? { ...others, "content-type": type } : others,
      ...payload,
    });
    const { statusCode: status } = response;
    const told = `${status} for ${method} ${target} ${JSON.stringify(sent)} ${JSON.stringify(payload)}: ${response.body.slice(0, 300)}`;
    seen.set(status, (seen.get(status) ?? 0) + 1);
    assert.ok(status < 500, told);
    if (status < 400 || method === "HEAD") continue;
    const answer = JSON.parse(response.body) as { error: string; error_type: string; field?: string };
    assert.ok(answer.error.length > 0 && answer.error.length < 400, told);
    if (status === 422) assert.ok(answer.field !== undefined && answer.error.startsWith(answer.field), told);
  }
  for (const status of [200, 202, 204, 404, 405, 422]) {
    assert.ok((seen.get(status) ?? 0) > scaled(5), `${status} happens: ${JSON.stringify([...seen])}`);
  }
  await server.close();
});
