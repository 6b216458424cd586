// What the README promises of the shipped models, through the real server.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { startServer, type RunningServer } from "../../../bench/tools/server-process.js";
import { streamGenerate } from "../../../bench/tools/sse-client.js";

let server: RunningServer;
before(async () => {
  server = await startServer();
});
after(() => server.stop());

async function post(path: string, body: object): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(server.url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

test("g2p-en streams the phones of knights one by one", async () => {
  const texts: string[] = [];
  let whole: unknown;
  for await (const { data } of streamGenerate(server.url, { model: "g2p-en", inputs: "knights" })) {
    if (data["generated_text"] === null) texts.push((data["token"] as { text: string }).text);
    else whole = data["generated_text"];
  }
  assert.equal(whole, "N AY1 T S");
  assert.deepEqual(
    texts.filter((text) => text !== ""),
    ["N", " AY1", " T", " S"],
  );
});

test("g2p-en gives an n-best list by beams, best first, with descending scores", async () => {
  const { body } = await post("/generate", {
    model: "g2p-en",
    inputs: "read",
    parameters: { num_beams: 4, num_return_sequences: 3 },
  });
  const outputs = body["outputs"] as { text: string; score: number }[];
  assert.equal(outputs.length, 3);
  assert.equal(new Set(outputs.map(({ text }) => text)).size, 3);
  assert.deepEqual(
    outputs.map(({ score }) => score),
    outputs.map(({ score }) => score).sort((a, b) => b - a),
  );
  assert.equal(body["generated_text"], outputs[0]?.text);
});

test("g2p-en tells the log-probability that a token was drawn with, in answers and streams, where options changed it", async () => {
  type Tokens = { tokens: { logprob: number; sampled_logprob?: number }[] };
  const ask = async (parameters: object) => {
    const all = { do_sample: true, seed: 5, details: true, ...parameters };
    const { body } = await post("/generate", { model: "g2p-en", inputs: "tomato", parameters: all });
    return (body["details"] as Tokens).tokens;
  };
  const certain = await ask({ top_k: 1 });
  assert.ok(certain.every(({ logprob, sampled_logprob }) => logprob < 0 && sampled_logprob === 0));
  const plain = await ask({ top_k: 0, top_p: 1, temperature: 1 });
  assert.ok(plain.every((token) => !("sampled_logprob" in token)));
  const streamed: unknown[] = [];
  const parameters = { do_sample: true, seed: 5, details: true, top_k: 1 };
  for await (const { data } of streamGenerate(server.url, { model: "g2p-en", inputs: "tomato", parameters })) {
    if (data["generated_text"] === null) streamed.push(data["token"]);
  }
  assert.deepEqual(streamed, certain);
});

test("g2p-en hands out attention rows that sum to one", async () => {
  const { body } = await post("/generate", { model: "g2p-en", inputs: "knights", parameters: { details: true } });
  const { attention } = body["details"] as { attention: number[][] };
  assert.equal(attention.length, 5);
  for (const row of attention) {
    assert.equal(row.length, 8);
    assert.ok(Math.abs(row.reduce((sum, weight) => sum + weight, 0) - 1) < 1e-3);
  }
});

test("itn-en writes dates, times and money as people do", async () => {
  const inputs = "remind me on the third of march at quarter past nine p m to pay three hundred and five dollars";
  const { body } = await post("/generate", { model: "itn-en", inputs });
  assert.equal(body["generated_text"], "remind me on march 3rd at 9:15 p.m. to pay $305");
});

test("an array of inputs is answered in its order", async () => {
  const { body } = await post("/generate", { model: "g2p-en", inputs: ["cat", "dog", "fish"] });
  const texts = (body as unknown as { generated_text: string }[]).map((answer) => answer.generated_text);
  assert.deepEqual(texts, ["K AE1 T", "D AO1 G", "F IH1 SH"]);
});

test("an unknown symbol is a 422 that names it", async () => {
  const { status, body } = await post("/generate", { model: "g2p-en", inputs: "naïve" });
  assert.equal(status, 422);
  assert.match(String(body["error"]), /inputs.*ï/);
});

test("a seed repeats its text, and the answer says which seed it was", async () => {
  const ask = (seed?: number) =>
    post("/generate", {
      model: "g2p-en",
      inputs: "read",
      parameters: { do_sample: true, temperature: 1.5, details: true, ...(seed !== undefined && { seed }) },
    });
  const first = (await ask()).body;
  const { seed } = first["details"] as { seed: number };
  assert.equal((await ask(seed)).body["generated_text"], first["generated_text"]);
});

test("a stop string cuts exactly before itself, streamed or not", async () => {
  const parameters = { stop: [" T"] };
  const { body } = await post("/generate", { model: "g2p-en", inputs: "knights", parameters });
  assert.equal(body["generated_text"], "N AY1");
  let joined = "";
  for await (const { data } of streamGenerate(server.url, { model: "g2p-en", inputs: "knights", parameters })) {
    if (data["generated_text"] === null) joined += (data["token"] as { text: string }).text;
    else assert.equal(data["generated_text"], "N AY1");
  }
  assert.equal(joined, "N AY1");
});
