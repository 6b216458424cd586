// Which served model translates from one language into another, and GET /languages. Pure; only models that declare both sides count.
import { AppError, refuse } from "../../../errors.js";
import type { ModelInfo } from "../../../inference/catalog/model-info.js";
import { languageNamed, wrongLanguage } from "../../../inference/tokenizer/languages/language-names.js";

type Model = Pick<ModelInfo, "name" | "state" | "isDefault" | "languages" | "limits">;

export interface Language {
  readonly code: string;
  readonly name: string;
  readonly targets: string[];
}

/** The default model where it can, else the first that can. Throws AppError that names `source` or `target`. */
export function findModel(models: readonly Model[], source: string, target: string): Model {
  const declared = translators(models);
  const fromSource = declared.filter(({ languages }) => languageNamed(source, languages.source) !== null);
  const found = fromSource.filter(({ languages }) => languageNamed(target, languages.target) !== null);
  const best = found.find(({ isDefault }) => isDefault) ?? found[0];
  if (best !== undefined) return best;
  if (models.some(({ state }) => state === "loading")) {
    throw new AppError("unavailable", "models are loading", { retryAfterSeconds: 1 });
  }
  if (declared.length === 0) refuse("target", "no served model declares languages (`languages` in seqserve.json)");
  if (fromSource.length === 0) refuse("source", unknownLanguage(source, declared, "source"));
  return refuse("target", unknownLanguage(target, fromSource, "target"));
}

/** Every source language and what it can become; short codes (de) where they mean the model's own (deu_Latn). */
export function languageList(models: readonly Model[]): Language[] {
  const targets = new Map<string, Set<string>>();
  for (const { languages } of translators(models)) {
    const into = languages.target.map((code) => shortCode(code, languages.target));
    for (const code of languages.source) {
      const short = shortCode(code, languages.source);
      targets.set(short, new Set([...(targets.get(short) ?? []), ...into]));
    }
  }
  return [...targets].map(([code, into]) => ({ code, name: languageName(code), targets: [...into] }));
}

/** Codes of every language that some model translates from. */
export function sourceLanguages(models: readonly Model[]): string[] {
  return [...new Set(translators(models).flatMap(({ languages }) => languages.source))];
}

function translators(models: readonly Model[]): readonly Model[] {
  return models.filter(({ languages }) => languages.source.length > 0 && languages.target.length > 0);
}

function unknownLanguage(wanted: string, models: readonly Model[], side: "source" | "target"): string {
  return wrongLanguage(wanted, [...new Set(models.flatMap(({ languages }) => languages[side]))]);
}

/** The model's own code where no shorter one leads back to it. */
export function shortCode(code: string, known: readonly string[]): string {
  const locale = parseLocale(code);
  if (locale === null) return code;
  const { language, script } = locale;
  const candidates = script === undefined ? [language] : [language, `${language}-${script}`];
  return candidates.find((short) => languageNamed(short, known) === code) ?? code;
}

function parseLocale(code: string): Intl.Locale | null {
  try {
    return new Intl.Locale(code.replaceAll("_", "-"));
  } catch {
    return null;
  }
}

const englishNames = new Intl.DisplayNames(["en"], { type: "language" });

function languageName(code: string): string {
  const locale = parseLocale(code);
  return locale === null ? code : (englishNames.of(locale.baseName) ?? code);
}
