import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { ServedModel } from "../../../../src/inference/catalog/served-model.js";
import { encodeSource } from "../../../../src/inference/request/prepare.js";
import { WrongLanguage } from "../../../../src/inference/tokenizer/tokenizer.js";
import {
  m2m100Languages,
  mbart50Languages,
  mbartLanguages,
  nllbLanguages,
} from "../../../../src/inference/tokenizer/languages/language-codes.js";
import { languageNamed, wrongLanguage } from "../../../../src/inference/tokenizer/languages/language-names.js";
import { loadTokenizers } from "../../../../src/inference/folder/folder-tokenizers.js";
import { root } from "./oracles.js";

const fixture = (name: string) => join(root, "test/fixtures/tokenizer", name);

describe("a language", () => {
  it("is found by code or name, in the model's spelling", () => {
    const cases: [readonly string[], Record<string, string | null>][] = [
      [
        nllbLanguages,
        {
          deu_Latn: "deu_Latn",
          de: "deu_Latn",
          deu: "deu_Latn",
          German: "deu_Latn",
          german: "deu_Latn",
          de_DE: "deu_Latn",
          "de-AT": "deu_Latn",
          zh: "zho_Hans",
          Chinese: "zho_Hans",
          "zh-TW": "zho_Hant",
          "Traditional Chinese": "zho_Hant",
          zho_hant: "zho_Hant",
          ar: "arb_Arab",
          arb: "arb_Arab",
          fa: "pes_Arab",
          Dari: "prs_Arab",
          no: "nob_Latn",
          nn: "nno_Latn",
          tl: "tgl_Latn",
          he: "heb_Hebr",
          "pt-BR": "por_Latn",
          sr: "srp_Cyrl",
          Norwegian: "nob_Latn",
          Persian: "pes_Arab",
          Tagalog: "tgl_Latn",
          ger_Latn: "deu_Latn",
          Klingon: null,
          "": null,
          xx: null,
          eng_Cyrl: null,
        },
      ],
      [
        mbartLanguages,
        { de: "de_DE", German: "de_DE", en: "en_XX", "en-GB": "en_XX", zh: "zh_CN", "zh-TW": null, fr_XX: "fr_XX" },
      ],
      [mbart50Languages, { deu: "de_DE", pt: "pt_XX", "pt-BR": "pt_XX", Filipino: "tl_XX" }],
      [
        m2m100Languages,
        {
          deu: "de",
          German: "de",
          __de__: "de",
          "Northern Sotho": "ns",
          fil: "tl",
          en_US: "en",
          Norwegian: "no",
          "zh-TW": "zh",
        },
      ],
      [["deu", "cmn_Hans", "fra"], { ">>deu<<": "deu", de: "deu", zh: "cmn_Hans", French: "fra" }],
    ];
    for (const [known, wanted] of cases) {
      for (const [name, code] of Object.entries(wanted)) assert.equal(languageNamed(name, known), code, name);
    }
  });

  it("that all models spell is found by its own code", () => {
    for (const known of [nllbLanguages, mbartLanguages, mbart50Languages, m2m100Languages]) {
      for (const code of known) assert.equal(languageNamed(code, known), code);
    }
  });

  it("that is wrong gets the nearest known one", () => {
    assert.match(wrongLanguage("Germna", nllbLanguages), /"Germna" \(did you mean deu_Latn, German\?\)/u);
    assert.match(wrongLanguage("deu_Ltn", nllbLanguages), /did you mean deu_Latn, German/u);
  });
});

describe("the source language of a request", () => {
  it("stands first for NLLB, mBART-50 and M2M100, last for mBART and for NLLB of old", async () => {
    const edges = async (folder: string, srcLang?: string) => {
      const { source } = await loadTokenizers(folder);
      const tokens = await source.encode("the", srcLang === undefined ? {} : { srcLang });
      return [tokens[0]?.text, tokens.at(-1)?.text];
    };
    assert.deepEqual(await edges(join(root, "test/zoo/nllb")), ["eng_Latn", "</s>"]);
    assert.deepEqual(await edges(join(root, "test/zoo/nllb"), "German"), ["deu_Latn", "</s>"]);
    assert.deepEqual(await edges(fixture("mbart50"), "fr"), ["fr_XX", "</s>"]);
    assert.deepEqual(await edges(fixture("m2m100"), "fr"), ["__fr__", "</s>"]);
    assert.equal((await edges(fixture("mbart"), "fr"))[1], "fr_XX");
    assert.equal((await edges(fixture("nllb-bpe"), "fr"))[1], "fra_Latn");
  });

  it("that the model lacks is refused with the option and a near one", async () => {
    const { source } = await loadTokenizers(join(root, "test/zoo/nllb"));
    const error = await source.encode("a", { srcLang: "Germna" }).catch((reason: unknown) => reason);
    assert.ok(error instanceof WrongLanguage);
    assert.equal(error.option, "srcLang");
    assert.match(error.message, /did you mean/u);
  });
});

describe("the target language of a request", () => {
  it("is the id that the output begins with", async () => {
    const nllb = (await loadTokenizers(join(root, "test/zoo/nllb"))).target;
    assert.deepEqual([...nllb.languages], ["eng_Latn", "deu_Latn", "fra_Latn", "zho_Hans"]);
    assert.equal(nllb.targetLanguageId("deu_Latn"), 503);
    assert.equal(nllb.targetLanguageId("xxx"), null);
    const m2m100 = (await loadTokenizers(fixture("m2m100"))).target;
    assert.equal(m2m100.targetLanguageId("de"), m2m100.idOf("__de__"));
  });

  it("is a piece before the source for Marian, once", async () => {
    const { source } = await loadTokenizers(fixture("marian-languages"));
    assert.deepEqual([...source.languages], ["deu", "cmn_Hans"]);
    assert.equal(source.targetLanguageId("deu"), null);
    const pieces = async (text: string) =>
      (await source.encode(text, { tgtLang: "German" })).map((token) => token.text);
    const plain = (await source.encode("the word")).map((token) => token.text);
    assert.deepEqual(await pieces("the word"), [">>deu<<", ...plain]);
    assert.deepEqual(await pieces(">>deu<< the word"), [">>deu<<", ...plain]);
    await assert.rejects(
      pieces(">>cmn_Hans<< the word"),
      /^WrongLanguage: >>deu<<, but the text begins with >>cmn_Hans<</u,
    );
    const model = { source, inputPrefix: "", limits: { maxInputTokens: 9 } } as unknown as ServedModel;
    await assert.rejects(encodeSource(">>cmn_Hans<< the word", model, { tgtLang: "German" }), {
      kind: "validation",
      field: "parameters.tgt_lang",
      message: "parameters.tgt_lang: >>deu<<, but the text begins with >>cmn_Hans<<",
    });
  });
});
