// LibreTranslate's request as rows of one batch, each with its own languages, and its answer.
import { AppError, refuse } from "../../../errors.js";
import type { ModelInfo } from "../../../inference/catalog/model-info.js";
import type { Parameters } from "../../../parameters.js";
import { checkedInputs, checkedParameters } from "../../generate/rules.js";
import type { FinishedGeneration } from "../../generate/run.js";
import type { Row, Translation } from "../translation.js";
import { chooseSource, type Detect, type Detected } from "./detector.js";
import { findModel, sourceLanguages } from "./languages.js";
import type { TranslateBody } from "./schemas.js";

export class LibreTranslation implements Translation {
  readonly model = undefined;
  readonly rows: readonly Row[];
  readonly #isList: boolean;
  readonly #alternatives: number;
  /** For each text; null where its language was named. */
  readonly #detected: readonly (Detected | null)[];

  /** Throws AppError that names the field. `detect` null: no detector is configured. */
  constructor(body: TranslateBody, models: readonly ModelInfo[], maxInputs: number, detect: Detect | null) {
    const { q, alternatives } = body;
    const texts = checkedInputs(q, maxInputs);
    this.#isList = typeof q !== "string";
    this.#alternatives = alternatives ?? 0;
    const sources = perText("source", body.source, texts);
    const targets = perText("target", body.target, texts);
    this.#detected = texts.map((text, i) => (sources[i] === "auto" ? detectSource(text, models, detect) : null));
    this.rows = texts.map((text, i) => {
      const [source = "", target = ""] = [this.#detected[i]?.language ?? sources[i], targets[i]];
      const parameters = checkedParameters(toParameters(source, target, this.#alternatives), { streams: false });
      const model = findModel(models, source, target);
      requireAlternativesFit(this.#alternatives, model.limits.maxBeams);
      return { text, parameters, model: model.name };
    });
  }

  answer(finished: readonly FinishedGeneration[]) {
    const texts = finished.map(({ end }) => end.outputs.map(({ text }) => text));
    const [best, others] = [texts.map(([first = ""]) => first), texts.map(([, ...rest]) => rest)];
    const alternatives = this.#isList ? others : others[0];
    return {
      translatedText: this.#isList ? best : best[0],
      ...(this.#alternatives > 0 ? { alternatives } : {}),
      ...(this.#detected.some((one) => one !== null)
        ? { detectedLanguage: this.#isList ? this.#detected : this.#detected[0] }
        : {}),
    };
  }
}

function detectSource(text: string, models: readonly ModelInfo[], detect: Detect | null): Detected | null {
  if (detect === null) {
    const reason = "no language detector is configured (LANGUAGE_DETECTOR); name the language";
    throw new AppError("not_implemented", reason, { field: "source" });
  }
  const served = sourceLanguages(models);
  // What is missing then is a model, and modelFor says so.
  return served.length === 0 ? null : chooseSource(detect(text), served);
}

// A long text is translated sentence by sentence; alternatives are the next best beams, which only a whole text has.
function toParameters(source: string, target: string, alternatives: number): Parameters {
  const languages = { src_lang: source, tgt_lang: target };
  if (alternatives === 0) return { ...languages, split: "sentences", num_return_sequences: 1 };
  return { ...languages, num_beams: alternatives + 1, num_return_sequences: alternatives + 1 };
}

function requireAlternativesFit(alternatives: number, maxBeams: number): void {
  if (alternatives < maxBeams) return;
  refuse("alternatives", `at most ${maxBeams - 1} for this model (got ${alternatives})`);
}

function perText(field: string, given: string | readonly string[], texts: readonly string[]): readonly string[] {
  if (typeof given === "string") return texts.map(() => given);
  if (given.length === texts.length) return given;
  return refuse(field, `must be one, or one for each of ${texts.length} texts`);
}
