// Language names and codes as people write them ("de", "deu", "German", "de_DE") to the spelling of a model ("deu_Latn", "de_DE").
// What is the same language is ICU's knowledge (CLDR aliases and English names), so there is no table to keep.
import { nearest } from "../../../nearest.js";

interface Spelling {
  readonly code: string;
  readonly locale: Intl.Locale | null;
  /** English names, lower-case. */
  readonly names: readonly string[];
}

/** The one known code that a name or code means, or null where none or several do. */
export function languageNamed(wanted: string, known: readonly string[]): string | null {
  const plain = wanted.trim().replace(/^>>(.*)<<$|^__(.*)__$/u, "$1$2");
  if (known.includes(plain)) return plain;
  const spellings = spellingsOf(known);
  const spelled = plain.toLowerCase().replaceAll("-", "_");
  const exact = spellings.filter(({ code }) => code.toLowerCase() === spelled);
  if (exact.length > 0) return onlyCode(exact);
  return languageByName(plain.toLowerCase(), spellings) ?? languageByCode(plain, spellings);
}

/** "German", "Simplified Chinese"; "Chinese" is the one that is written as Chinese mostly is. */
function languageByName(name: string, spellings: readonly Spelling[]): string | null {
  const same = spellings.filter(({ names }) => names.includes(name));
  const language = same[0]?.locale?.language ?? otherNames.get(name);
  return onlyCode(same) ?? (language === undefined ? null : languageByCode(language, spellings));
}

function languageByCode(code: string, spellings: readonly Spelling[]): string | null {
  const locale = localeOf(code);
  return locale === null ? null : bestOf(locale, spellings);
}

function onlyCode(spellings: readonly Spelling[]): string | null {
  const [first, second] = spellings;
  return second === undefined ? (first?.code ?? null) : null;
}

/** One line for a language that the model lacks, with the nearest that it knows. */
export function wrongLanguage(wanted: string, known: readonly string[]): string {
  const spellings = spellingsOf(known);
  // Two letters are near to everything.
  const near = wanted.length < 4 ? null : nearest(wanted, [...known, ...spellings.flatMap(({ names }) => names)]);
  const found = spellings.find(({ code, names }) => near !== null && (code === near || names.includes(near)));
  return `the model does not know the language "${wanted}"${found === undefined ? "" : ` (did you mean ${described(found)}?)`}`;
}

function described({ code, locale }: Spelling): string {
  const name = locale === null ? undefined : englishNames.of(locale.language);
  return name === undefined || name === code ? code : `${code}, ${name}`;
}

function bestOf(wanted: Intl.Locale, spellings: readonly Spelling[]): string | null {
  const language = wanted.language;
  const same = spellings.filter(({ locale }) => locale !== null && locale.language === language);
  const script = wanted.maximize().script;
  const rightScript = same.filter(({ locale }) => locale?.script === undefined || locale.script === script);
  // Without a wanted script the only spelling will do, whatever it is written in.
  const candidates = rightScript.length > 0 || wanted.script !== undefined ? rightScript : same;
  return onlyOne(
    candidates.filter(({ locale }) => agrees(locale?.region, wanted.region)),
    wanted.region,
  );
}

function onlyOne(candidates: readonly Spelling[], region: string | undefined): string | null {
  // "fa" is the plain spelling, not the one of Afghanistan.
  return onlyCode(candidates) ?? onlyCode(candidates.filter(({ locale }) => locale?.region === region));
}

function agrees(known: string | undefined, wanted: string | undefined): boolean {
  return known === undefined || wanted === undefined || known === wanted;
}

const englishNames = new Intl.DisplayNames(["en"], { type: "language" });

/** English names that CLDR does not use. */
const otherNames = new Map([
  ["norwegian", "no"],
  ["tagalog", "fil"],
  ["farsi", "fa"],
  ["mandarin", "zh"],
]);

/** Codes that CLDR spells otherwise. */
const renamed = new Map([
  ["ns", "nso"],
  ["no", "nb"],
  ["tl", "fil"],
]);

/** Null for what is no code. "XX" as a region says nothing. */
function localeOf(code: string): Intl.Locale | null {
  const plain = code.replaceAll("_", "-").replace(/-XX$/u, "");
  if (!/^[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8})*$/u.test(plain)) return null;
  try {
    const locale = new Intl.Locale(plain);
    const other = renamed.get(locale.language);
    return other === undefined ? locale : new Intl.Locale(locale, { language: other });
  } catch {
    return null;
  }
}

const cache = new WeakMap<readonly string[], readonly Spelling[]>();

function spellingsOf(known: readonly string[]): readonly Spelling[] {
  const cached = cache.get(known);
  if (cached !== undefined) return cached;
  const spellings = known.map((code): Spelling => {
    const locale = localeOf(code);
    // "prs" is Dari, although its locale is Persian in Afghanistan.
    const tags = locale === null ? [] : [locale.baseName, code.replace(/_.*$/u, ""), locale.language];
    const names = tags.map((tag) => (englishNames.of(tag) ?? tag).toLowerCase());
    return { code, locale, names: [...new Set(names)] };
  });
  cache.set(known, spellings);
  return spellings;
}
