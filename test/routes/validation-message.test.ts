// Refusals name the field as the client wrote it, whatever it is called.
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { testServer } from "../support/servers/scripted.js";

const server = await testServer({});
after(() => server.close());

async function refusal(method: "GET" | "POST", url: string, payload?: object): Promise<[string, string]> {
  const response = await server.app.inject({ method, url, ...(payload === undefined ? {} : { payload }) });
  assert.equal(response.statusCode, 422, response.body);
  const { error, field } = response.json<{ error: string; field: string }>();
  return [field, error];
}

test("an unknown field of a query is named, a number or nothing too", async () => {
  assert.deepEqual(await refusal("GET", "/generations?9=x"), ["9", "9: unknown field"]);
  assert.deepEqual(await refusal("GET", "/generations?=x"), ['""', '"": unknown field']);
});

test("an unknown field of a body is named, a number or a word of JavaScript too", async () => {
  const sent = (extra: object) => refusal("POST", "/generate", { inputs: "a", ...extra });
  assert.deepEqual(await sent({ toString: 1 }), ["toString", "toString: unknown field"]);
  assert.deepEqual(await sent({ parameters: { "9": 1 } }), ["parameters.9", "parameters.9: unknown field"]);
  assert.deepEqual((await sent({ parameters: { stop: ["a", 1] } }))[0], "parameters.stop[1]");
});

test("of two lengths the one that was sent is named", async () => {
  const messages = [{ role: "user", content: "a" }];
  const payload = { messages, max_completion_tokens: 3, max_new_tokens: 3 };
  const response = await server.app.inject({ method: "POST", url: "/v1/chat/completions", payload });
  assert.equal(response.json<{ error: { param: string } }>().error.param, "max_completion_tokens");
});
