// LibreTranslate's surface on the zoo's NLLB, through the npm package `translate` and by hand: lists, languages for each row, alternatives, long texts, keys.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Translate } from "translate";
import { servedCandidates, chooseSource } from "../../../src/routes/compatible/libretranslate/detector.js";
import { findModel, languageList } from "../../../src/routes/compatible/libretranslate/languages.js";
import { modelInfo, ScriptedInference, testServer } from "../../support/servers/scripted.js";
import { zooServer, type ZooServer } from "../../support/servers/zoo-server.js";

let server: ZooServer;
before(async () => {
  server = await zooServer({ models: ["t5", "nllb"], maxInputTokens: 26 });
});
after(() => server.close());

async function post(path: string, body: object) {
  const response = await fetch(server.url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

/** What /generate says: the zoo's oracle holds for that (test/process/server/languages.test.ts). */
async function expected(inputs: string, target: string): Promise<string> {
  const parameters = { src_lang: "en", tgt_lang: target };
  const { body } = await post("/generate", { model: "nllb", inputs, parameters });
  assert.equal(typeof body["generated_text"], "string", JSON.stringify(body));
  return String(body["generated_text"]);
}

test("the `translate` package gets the translation of the first model that knows both languages", async () => {
  // Its types lack the url that its README tells of.
  const options: object = { engine: "libre", url: `${server.url}/translate`, from: "en" };
  const translate = Translate(options);
  for (const to of ["de", "fr"]) assert.equal(await translate("If whether", { to }), await expected("If whether", to));
  assert.notEqual(await expected("If whether", "de"), await expected("If whether", "fr"));
});

test("a list is one batch, each row in its own language", async () => {
  const q = ["If whether", "other", "Data"];
  const target = ["de", "fra_Latn", "Simplified Chinese"];
  const { status, body } = await post("/translate", { q, source: "en", target, format: "text" });
  assert.equal(status, 200, JSON.stringify(body));
  assert.deepEqual(body["translatedText"], await Promise.all(q.map((text, i) => expected(text, target[i] ?? ""))));
  const one = await post("/translate", { q, source: ["en", "en", "en"], target: "de" });
  assert.deepEqual(one.body["translatedText"], await Promise.all(q.map((text) => expected(text, "de"))));
});

test("a text that is longer than the model takes is translated sentence by sentence", async () => {
  const sentences = ["If whether.", "Other data here.", "With features."];
  const { body } = await post("/translate", { q: sentences.join("\n\n"), source: "en", target: "de" });
  const alone = await Promise.all(sentences.map((sentence) => expected(sentence, "de")));
  assert.equal(body["translatedText"], alone.join("\n\n"));
});

test("alternatives are the next best", async () => {
  const parameters = { src_lang: "en", tgt_lang: "de", num_beams: 3, num_return_sequences: 3 };
  const { body } = await post("/generate", { model: "nllb", inputs: "If whether", parameters });
  const texts = (body["outputs"] as { text: string }[]).map((output) => output.text);
  const [best, ...others] = texts;
  const asked = { q: "If whether", source: "en", target: "de", alternatives: 2 };
  assert.deepEqual((await post("/translate", asked)).body, { translatedText: best, alternatives: others });
  const list = await post("/translate", { ...asked, q: ["If whether"] });
  assert.deepEqual(list.body, { translatedText: [best], alternatives: [others] });
});

test("a form is read as JSON is", async () => {
  const form = new URLSearchParams({ q: "other", source: "en", target: "de", alternatives: "1", format: "text" });
  const response = await fetch(`${server.url}/translate`, { method: "POST", body: form });
  const json = await post("/translate", { q: "other", source: "en", target: "de", alternatives: 1 });
  assert.deepEqual(await response.json(), json.body);
  const twice = new URLSearchParams([
    ["q", "other"],
    ["q", "Data"],
    ["source", "en"],
    ["target", "de"],
  ]);
  const several = (await (await fetch(`${server.url}/translate`, { method: "POST", body: twice })).json()) as object;
  assert.deepEqual(several, { translatedText: [await expected("other", "de"), await expected("Data", "de")] });
});

test("forms are read nowhere else", async () => {
  const response = await fetch(`${server.url}/generate`, {
    method: "POST",
    body: new URLSearchParams({ inputs: "hi" }),
  });
  assert.equal(response.status, 415);
});

const refusals: [string, object, number, string, RegExp][] = [
  ["an unknown target", { target: "Germen" }, 422, "target", /did you mean .*German/u],
  ["an unknown source", { source: "xx" }, 422, "source", /does not know/u],
  ["auto without a detector", { source: "auto" }, 501, "source", /LANGUAGE_DETECTOR/u],
  ["HTML", { format: "html" }, 422, "format", /"text"/u],
  ["too many alternatives", { alternatives: 16 }, 422, "alternatives", /at most 15/u],
  ["alternatives below none", { alternatives: -1 }, 422, "alternatives", />= 0/u],
  ["as many languages as texts", { q: ["a", "b"], target: ["de"] }, 422, "target", /each of 2 texts/u],
  ["an empty text", { q: ["a", ""] }, 422, "q[1]", /empty/u],
  ["half a character", { q: ["a", "\uD800"] }, 422, "q[1]", /surrogate/u],
  ["an unknown field", { lang: "de" }, 422, "lang", /unknown field/u],
  ["a missing field", { q: undefined }, 422, "q", /required/u],
];
for (const [title, fields, status, field, message] of refusals) {
  test(`${title}: ${status} that names ${field}`, async () => {
    const answer = await post("/translate", { q: "other", source: "en", target: "de", ...fields });
    assert.deepEqual([answer.status, answer.body["field"]], [status, field]);
    assert.match(String(answer.body["error"]), message);
  });
}

test("/languages lists short codes that /translate takes", async () => {
  const languages = (await (await fetch(`${server.url}/languages`)).json()) as ReturnType<typeof languageList>;
  const english = languages.find(({ code }) => code === "en");
  assert.equal(english?.name, "English");
  assert.ok(english.targets.includes("de") && english.targets.includes("fr"));
  for (const { code } of languages.slice(0, 20)) {
    const { status, body } = await post("/translate", { q: "a", source: code, target: "de" });
    assert.equal(status, 200, `${code}: ${JSON.stringify(body)}`);
  }
});

test("/detect is a 501 without a detector, and names the setting", async () => {
  const { status, body } = await post("/detect", { q: "hello" });
  assert.equal(status, 501);
  assert.match(String(body["error"]), /LANGUAGE_DETECTOR/u);
});

describe("with LANGUAGE_DETECTOR=eld", () => {
  let detecting: ZooServer;
  before(async () => {
    detecting = await zooServer({ models: ["t5", "nllb"], languageDetector: "eld" });
  });
  after(() => detecting.close());

  const call = async (path: string, body: object, contentType = "application/json") => {
    const response = await fetch(detecting.url + path, {
      method: "POST",
      headers: { "content-type": contentType },
      body: contentType === "application/json" ? JSON.stringify(body) : new URLSearchParams({ ...body }).toString(),
    });
    return { status: response.status, body: (await response.json()) as unknown };
  };
  const texts = {
    en: "Where is the nearest train station?",
    de: "Der Ausschuss hat noch nicht entschieden",
    fr: "Où est la gare la plus proche ?",
    es: "El comité aún no ha decidido",
    pl: "Gdzie jest najbliższy dworzec?",
    ru: "Комитет ещё не решил",
    ja: "委員会はまだ決めていない",
  };

  test("/detect tells the language, by the codes of /languages, best first", async () => {
    const languages = (await (await fetch(`${detecting.url}/languages`)).json()) as { code: string }[];
    const codes = languages.map(({ code }) => code);
    for (const [language, q] of Object.entries(texts)) {
      if (!codes.includes(language)) continue;
      const { status, body } = await call("/detect", { q });
      assert.equal(status, 200);
      const found = body as { confidence: number; language: string }[];
      assert.equal(found[0]?.language, language, q);
      assert.ok(found[0].confidence > 50 && found[0].confidence <= 100);
      assert.ok(found.every((one) => codes.includes(one.language)));
      assert.deepEqual(
        found,
        found.toSorted((a, b) => b.confidence - a.confidence),
      );
    }
    assert.ok(["en", "de", "fr"].every((code) => codes.includes(code)));
    assert.deepEqual((await call("/detect", { q: "12345" })).body, [{ confidence: 0, language: "en" }]);
    const form = await call("/detect", { q: texts.de }, "application/x-www-form-urlencoded");
    assert.deepEqual(form.body, (await call("/detect", { q: texts.de })).body);
    assert.equal((await call("/detect", {})).status, 422);
  });

  test("source auto is the translation from the language that /detect tells", async () => {
    const auto = await call("/translate", { q: texts.de, source: "auto", target: "en" });
    const named = await call("/translate", { q: texts.de, source: "de", target: "en" });
    const [best] = (await call("/detect", { q: texts.de })).body as object[];
    assert.equal(auto.status, 200, JSON.stringify(auto.body));
    assert.deepEqual(auto.body, { ...(named.body as object), detectedLanguage: best });
    const q = [texts.fr, texts.en];
    const list = (await call("/translate", { q, source: ["auto", "en"], target: "de" })).body as Record<
      string,
      object[]
    >;
    assert.deepEqual(list["detectedLanguage"], [((await call("/detect", { q: texts.fr })).body as object[])[0], null]);
  });

  test("a text that tells nothing is a 422 that names source", async () => {
    const { status, body } = await call("/translate", { q: "12345", source: "auto", target: "de" });
    assert.equal(status, 422);
    assert.equal((body as { field: string }).field, "source");
  });
});

describe("which of the served languages a text is in", () => {
  const close = [
    { language: "no", score: 0.8 },
    { language: "da", score: 0.78 },
    { language: "nl", score: 0.5 },
  ];

  test("a served neighbour may be meant, a far one is refused with what the text looks like", () => {
    assert.deepEqual(chooseSource(close, ["dan_Latn", "nld_Latn"]), { confidence: 78, language: "da" });
    assert.throws(() => chooseSource(close, ["nl"]), { field: "source", message: /looks like "no"/u });
    assert.throws(() => chooseSource([], ["nl"]), { field: "source", message: /cannot be told/u });
  });

  test("only served languages are told; English without confidence where none is left", () => {
    assert.deepEqual(
      servedCandidates(close, ["dan_Latn", "nld_Latn"]).map(({ language }) => language),
      ["da", "nl"],
    );
    assert.equal(servedCandidates(close, []).length, 3);
    assert.deepEqual(servedCandidates(close, ["fi"]), [{ confidence: 0, language: "en" }]);
  });
});

describe("keys and models", () => {
  test("a key may come in the body, where LibreTranslate has it", async () => {
    const languages = { source: ["en"], target: ["de"] };
    const inference = new ScriptedInference([modelInfo({ languages })]);
    const locked = await testServer({ config: { apiKeys: ["secret"] }, inference });
    const call = (payload: object, headers = {}) =>
      locked.app.inject({ method: "POST", url: "/translate", payload, headers });
    const body = { q: "hi", source: "en", target: "de" };
    assert.equal((await call(body)).statusCode, 401);
    assert.equal((await call({ ...body, api_key: "wrong" })).statusCode, 401);
    assert.equal((await call({ ...body, api_key: "secret" })).statusCode, 200);
    assert.equal((await call(body, { authorization: "Bearer secret" })).statusCode, 200);
    assert.equal(inference.requests.at(-1)?.parameters.split, "sentences");
    await locked.close();
  });

  test("rows of one request go to the models of their pairs", async () => {
    const pair = (name: string, source: string, target: string, isDefault = false) => {
      return modelInfo({ name, isDefault, languages: { source: [source], target: [target] } });
    };
    const inference = new ScriptedInference([
      pair("en-de", "en", "de", true),
      pair("en-fr", "en", "fr"),
      pair("de-en", "de", "en"),
    ]);
    const small = await testServer({ inference });
    const payload = { q: ["a", "b", "c"], source: ["en", "en", "de"], target: ["fr", "de", "en"] };
    const { body } = await small.app.inject({ method: "POST", url: "/translate", payload });
    assert.deepEqual(JSON.parse(body), { translatedText: ["A", "B", "C"] });
    assert.deepEqual(
      inference.requests.map((request) => request.model),
      ["en-fr", "en-de", "de-en"],
    );
    assert.throws(() => findModel(inference.models(), "de", "fr"), { field: "target" });
    assert.deepEqual(languageList(inference.models()), [
      { code: "en", name: "English", targets: ["de", "fr"] },
      { code: "de", name: "German", targets: ["en"] },
    ]);
    await small.close();
  });

  test("models that declare no languages are told so, models that load are waited for", () => {
    assert.throws(() => findModel([modelInfo()], "en", "de"), /no served model declares languages/u);
    assert.throws(() => findModel([modelInfo({ state: "loading" })], "en", "de"), { kind: "unavailable" });
  });
});
