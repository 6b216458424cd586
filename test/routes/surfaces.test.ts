// Every surface once, from the socket to a real model and back: the quickest proof that the parts are wired. Each has tests of its own elsewhere.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { DurableClient } from "../support/clients/durable-client.js";
import { wireEvents } from "../support/servers/scripted.js";
import { zooServer, type ZooServer } from "../support/servers/zoo-server.js";

const text = "considered";
const answer = "eddis";

let server: ZooServer;
before(async () => {
  server = await zooServer({ models: ["t5", "nllb"] });
});
after(() => server.close());

async function post(path: string, body: object): Promise<string> {
  const response = await fetch(server.url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const said = await response.text();
  assert.ok(response.ok, `${response.status}: ${said}`);
  return said;
}

async function postForJson(path: string, body: object): Promise<Record<string, unknown>> {
  return JSON.parse(await post(path, body)) as Record<string, unknown>;
}

test("/generate answers with the text", async () => {
  assert.equal((await postForJson("/generate", { inputs: text }))["generated_text"], answer);
});

test("/generate_stream says each token and then the text", async () => {
  const events = wireEvents(await post("/generate_stream", { inputs: text })).map(({ data }) => data);
  const pieces = events.map((event) => (event["token"] as { text: string } | undefined)?.text ?? "");
  assert.equal(pieces.join(""), answer);
  assert.equal(events.at(-1)?.["generated_text"], answer);
});

test("/generations is started, read again, and followed from its first event", async () => {
  const client = new DurableClient(server.url);
  const id = await client.start({ inputs: text });
  const { result } = await client.untilStatus(id, "succeeded");
  assert.equal(result?.["generated_text"], answer);
  assert.equal((await client.events(id)).at(-1)?.data["generated_text"], answer);
});

test("POST / answers as TGI does", async () => {
  const [first] = JSON.parse(await post("/", { inputs: text })) as Record<string, unknown>[];
  assert.equal(first?.["generated_text"], answer);
});

test("/v1/completions and /v1/chat/completions answer as OpenAI does", async () => {
  const { choices } = await postForJson("/v1/completions", { model: "t5", prompt: text });
  assert.equal((choices as { text: string }[])[0]?.text, answer);
  const chat = await postForJson("/v1/chat/completions", { model: "t5", messages: [{ role: "user", content: text }] });
  assert.equal((chat["choices"] as { message: { content: string } }[])[0]?.message.content, answer);
});

test("/v2/models/…/generate answers as KServe does", async () => {
  assert.equal((await postForJson("/v2/models/t5/generate", { text_input: text }))["text_output"], answer);
});

test("/translate answers as LibreTranslate does", async () => {
  const parameters = { src_lang: "en", tgt_lang: "de" };
  const { generated_text } = await postForJson("/generate", { model: "nllb", inputs: "If whether", parameters });
  const { translatedText } = await postForJson("/translate", { q: "If whether", source: "en", target: "de" });
  assert.ok(typeof translatedText === "string" && translatedText.length > 0);
  assert.equal(translatedText, generated_text);
});

test("/explain says how every token was chosen", async () => {
  const said = await postForJson("/explain", { inputs: text, output: answer });
  assert.equal(said["generated_text"], answer);
  assert.equal((said["tokens"] as { text: string }[]).map((token) => token.text).join(""), answer);
});

test("the page is served with all that it loads", async () => {
  const page = await (await fetch(server.url, { headers: { accept: "text/html" } })).text();
  const files = [...page.matchAll(/(?:src|href)="(?!https?:|#|data:)([^"]+)"/gu)].map(([, file = ""]) => file);
  assert.ok(files.some((file) => file.endsWith(".js")));
  for (const file of files) assert.equal((await fetch(new URL(file, server.url))).status, 200, file);
});
