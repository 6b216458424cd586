// The home of eld: an offline language detector of 60 languages. Loading this file loads its tables, so detector.ts does so only when it is asked for.
import { eld } from "eld/small";
import type { Candidate } from "./detector.js";

/** Best first; [] where nothing is known of the letters. Reads the first 1,000 characters. */
export function candidates(text: string): Candidate[] {
  const scores = Object.entries(eld.detect(text).getScores());
  return scores.map(([language, score]) => ({ language, score })).sort((a, b) => b.score - a.score);
}
