// Which of the served languages a text is in: the configured detector's candidates, held against what models declare. Pure but for loading it.
import { refuse } from "../../../errors.js";
import { languageNamed } from "../../../inference/tokenizer/languages/language-names.js";
import { shortCode } from "./languages.js";

export interface Candidate {
  /** ISO 639-1. */
  readonly language: string;
  /** 0 to 1: how well the text fits; no probability. */
  readonly score: number;
}

/** Best first; [] where nothing is known of the letters. Reads the first 1,000 characters. */
export type Detect = (text: string) => readonly Candidate[];

/** What LibreTranslate answers: a percentage. */
export interface Detected {
  readonly confidence: number;
  readonly language: string;
}

/** The detector that LANGUAGE_DETECTOR names, with its tables of 60 languages; null when it names none: nothing is loaded then. */
export async function loadDetector(setting: string | null): Promise<Detect | null> {
  if (setting === null) return null;
  const { eld } = await import("eld/small");
  return (text) => {
    const scores = Object.entries(eld.detect(text).getScores());
    return scores.map(([language, score]) => ({ language, score })).sort((a, b) => b.score - a.score);
  };
}

const maxCandidates = 3;

/** Served languages only, where any are declared. Never empty: an unknown language is English without confidence, as in LibreTranslate. */
export function servedCandidates(candidates: readonly Candidate[], served: readonly string[]): Detected[] {
  const known = candidates.filter(({ language }) => served.length === 0 || languageNamed(language, served) !== null);
  if (known.length === 0) return [{ confidence: 0, language: "en" }];
  return known.slice(0, maxCandidates).map((candidate) => toDetected(candidate, served));
}

/** Of the best score of all: a served language that scores less would be a guess. */
const minShareOfBest = 0.9;

/** The language to translate from. Throws AppError "validation" that names `source`. */
export function chooseSource(candidates: readonly Candidate[], served: readonly string[]): Detected {
  const [best] = candidates;
  if (best === undefined) refuse("source", "the language of this text cannot be told; name it");
  const known = candidates.find(({ language }) => languageNamed(language, served) !== null);
  if (known !== undefined && known.score >= best.score * minShareOfBest) return toDetected(known, served);
  return refuse(
    "source",
    `this text looks like "${best.language}", which no served model translates; name the language`,
  );
}

// By the code that /languages has.
function toDetected({ language, score }: Candidate, served: readonly string[]): Detected {
  const own = languageNamed(language, served);
  return { confidence: Math.round(score * 1000) / 10, language: own === null ? language : shortCode(own, served) };
}
