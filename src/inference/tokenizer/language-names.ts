// Language names and codes as people write them ("de", "German", "de_DE") to the spelling of a model ("deu_Latn", "de_DE", ">>deu<<").
import { nearest } from "../../nearest.js";

/** The one known code that the name means, or null where none or several do. */
export function languageNamed(wanted: string, known: readonly string[]): string | null {
  return known.includes(wanted) ? wanted : null;
}

/** One line for a language that the model lacks, with the nearest that it knows. */
export function wrongLanguage(wanted: string, known: readonly string[]): string {
  const near = nearest(wanted, known);
  return `the model does not know the language "${wanted}"${near === null ? "" : ` (did you mean ${near}?)`}`;
}
