// Which languages a request means: names and codes as people write them, in the model's own spelling, and where they go.
import { refuse } from "../../errors.js";
import type { Parameters } from "../../parameters.js";
import type { ServedModel } from "./served-model.js";
import { languageNamed, wrongLanguage } from "../tokenizer/languages/language-names.js";
import type { EncodeOptions, WrongLanguage } from "../tokenizer/tokenizer.js";

export interface RequestLanguages {
  /** Language token of the source, where the tokenizer puts it. */
  readonly srcLang?: string;
  /** Where the source itself names the target (Marian's >>deu<<). */
  readonly tgtLang?: string;
  /** The decoder's first choice, where the target names itself (NLLB, M2M100, mBART). */
  readonly forcedBosTokenId?: number;
  /** Put before the text: seqserve.json's languages.token. */
  readonly prefix?: string;
}

/** What a model can be asked for, as /models lists it. */
export function modelLanguages({ folder, source, target }: Pick<ServedModel, "folder" | "source" | "target">) {
  const declared = folder.manifest.languages;
  // Where the source names the target (Marian), the codes are targets only: the source language is the model's own.
  const namesItself = target.languages.some((code) => target.targetLanguageId(code) !== null);
  return {
    source: declared?.source ?? (namesItself ? source.languages : []),
    target: declared?.target ?? target.languages,
  };
}

/** Throws AppError "validation" that names the field and the nearest language. */
export function requestLanguages(options: Parameters, model: ServedModel): RequestLanguages {
  const { src_lang, tgt_lang } = options;
  const known = modelLanguages(model);
  const srcLang = src_lang === undefined ? undefined : requireLanguage("srcLang", src_lang, known.source);
  const tgtLang = tgt_lang === undefined ? undefined : requireLanguage("tgtLang", tgt_lang, known.target);
  return {
    ...(srcLang !== undefined && model.source.languages.includes(srcLang) && { srcLang }),
    ...(tgtLang !== undefined && targetLanguage(tgtLang, model)),
  };
}

function targetLanguage(tgtLang: string, { folder, target }: ServedModel): RequestLanguages {
  const { token } = folder.manifest.languages ?? {};
  if (token !== undefined) return { prefix: `${token.replace("{}", tgtLang)} ` };
  const id = target.targetLanguageId(tgtLang);
  return id === null ? { tgtLang } : { forcedBosTokenId: id };
}

/** The parameters of a request that name languages. Tokenizers know nothing of them. */
const fields: Readonly<Record<keyof EncodeOptions, string>> = {
  srcLang: "parameters.src_lang",
  tgtLang: "parameters.tgt_lang",
};

function requireLanguage(option: keyof EncodeOptions, wanted: string, known: readonly string[]): string {
  if (known.length === 0) refuse(fields[option], "this model does not take languages");
  return languageNamed(wanted, known) ?? refuse(fields[option], wrongLanguage(wanted, known));
}

/** The tokenizer's refusal, with the field of the request. */
export function refuseLanguage({ option, message }: WrongLanguage): never {
  return refuse(fields[option], message);
}
