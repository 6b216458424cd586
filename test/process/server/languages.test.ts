// Languages per request, through HTTP on the zoo's NLLB: names and codes as people write them do what the model's own code does.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { startServer, type RunningServer } from "../../../bench/tools/server-process.js";

let server: RunningServer;
before(async () => {
  server = await startServer({ MODELS_DIR: "test/zoo" });
});
after(() => server.stop());

interface Case {
  readonly text: string;
  readonly config: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly texts: readonly string[];
}

const { generate } = JSON.parse(readFileSync("test/zoo/nllb/oracle.json", "utf8")) as { generate: readonly Case[] };

async function post(path: string, body: object): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(server.url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

const spellings: Record<string, readonly string[]> = {
  deu_Latn: ["deu_Latn", "de", "deu", "German", "de-DE"],
  fra_Latn: ["fra_Latn", "fr", "French"],
  zho_Hans: ["zho_Hans", "zh-Hans", "Simplified Chinese"],
};

for (const [code, names] of Object.entries(spellings)) {
  test(`${names.join(", ")} mean ${code}, as transformers' forced_bos_token_id does`, async () => {
    const cases = generate.filter(({ config }) => config === `lang-${code}`);
    assert.ok(cases.length > 0);
    for (const [i, { text, params, texts }] of cases.entries()) {
      const { forced_bos_token_id: _, ...parameters } = params;
      const asked = { ...parameters, tgt_lang: names[i % names.length] };
      const { body } = await post("/generate", { model: "nllb", inputs: text, parameters: asked });
      assert.equal(body["generated_text"], texts[0]);
    }
  });
}

test("rows of one batch may each have their own language", async () => {
  const [first] = generate.filter(({ config }) => config === "lang-deu_Latn");
  const answers = await Promise.all(
    Object.keys(spellings).map(async (code) => {
      const parameters = { num_beams: 1, max_new_tokens: 20, tgt_lang: code };
      return (await post("/generate", { model: "nllb", inputs: first!.text, parameters })).body["generated_text"];
    }),
  );
  const expected = Object.keys(spellings).map((code) => {
    return generate.find(({ text, config }) => text === first!.text && config === `lang-${code}`)?.texts[0];
  });
  assert.deepEqual(answers, expected);
});

test("the source language changes the source's own token", async () => {
  const plain = await post("/generate", { model: "nllb", inputs: "and", parameters: { max_new_tokens: 4 } });
  const german = await post("/generate", {
    model: "nllb",
    inputs: "and",
    parameters: { max_new_tokens: 4, src_lang: "de" },
  });
  assert.equal(plain.status, 200);
  assert.equal(german.status, 200);
});

test("a language that the model lacks is a 422 that names the field and the nearest", async () => {
  const { status, body } = await post("/generate", {
    model: "nllb",
    inputs: "and",
    parameters: { tgt_lang: "Germen" },
  });
  assert.equal(status, 422);
  assert.equal(body["field"], "parameters.tgt_lang");
  assert.match(String(body["error"]), /German/);
});

test("a model without languages refuses them by name", async () => {
  for (const parameters of [{ src_lang: "de" }, { tgt_lang: "de" }]) {
    const { status, body } = await post("/generate", { model: "t5", inputs: "and", parameters });
    assert.equal(status, 422);
    assert.match(String(body["error"]), /does not take languages/);
  }
});

test("/models/{name} lists the languages", async () => {
  const response = await fetch(`${server.url}/models/nllb`);
  const { languages } = (await response.json()) as { languages: { source: string[]; target: string[] } };
  for (const code of Object.keys(spellings)) {
    assert.ok(languages.source.includes(code));
    assert.ok(languages.target.includes(code));
  }
});
