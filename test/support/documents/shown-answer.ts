// Whether an answer is what a page shows. What differs from run to run does not count: ids of generations, timings, dates, ports,
// and digits of fractions, which CPUs compute a little differently. "…" stands for what a page leaves out:
//   {"generated_text": "N", …}  more fields     [1, 2, …]  more items     a line "…"  any lines

/** How far fractions may be apart: a log-probability of an int8 model moves so much between CPUs. */
const tolerance = 0.05;
const rest = "…";

/** null, or the first thing that differs. */
export function difference(shown: string, given: string): string | null {
  const [expected, actual] = [linesOf(shown), linesOf(given)];
  if (expected[0]?.startsWith("HTTP/1.1 ") === true) return headDifference(expected, actual);
  return linesDifference(expected, actual);
}

function linesOf(text: string): string[] {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => line.trimEnd());
}

// Of the headers a page shows those that matter, in any order.
function headDifference(expected: readonly string[], actual: readonly string[]): string | null {
  const [status = "", ...others] = expected;
  if (actual[0] !== status) return `expected ${status}, got ${String(actual[0])}`;
  const headEnd = actual.indexOf("");
  const head = new Set(actual.slice(1, headEnd).map(masked));
  const bodyStart = others.includes("") ? others.indexOf("") : others.length;
  const missing = others.slice(0, bodyStart).find((header) => !head.has(masked(header)));
  if (missing !== undefined) return `no header ${missing} among ${[...head].join(" · ")}`;
  return linesDifference(others.slice(bodyStart + 1), actual.slice(headEnd + 1));
}

function masked(line: string): string {
  return line
    .replaceAll(/\b[\da-f]{32}\b/gu, "<id>")
    .replaceAll(/\b127\.0\.0\.1:\d+/gu, "<address>")
    .replace(/^([\w-]+):/u, (name) => name.toLowerCase());
}

function linesDifference(expected: readonly string[], actual: readonly string[]): string | null {
  let at = 0;
  for (const [i, line] of expected.entries()) {
    if (line === rest) {
      const next = expected[i + 1];
      if (next === undefined) return null;
      while (at < actual.length && lineDifference(next, actual[at] ?? "") !== null) at += 1;
      continue;
    }
    const found = actual[at];
    if (found === undefined) return `expected ${line}, got nothing more`;
    const differs = lineDifference(line, found);
    if (differs !== null) return differs;
    at += 1;
  }
  return at < actual.length ? `more than is shown: ${actual.slice(at).join("\n")}` : null;
}

/** Lines that hold JSON are compared as such. */
function lineDifference(expected: string, actual: string): string | null {
  const [wanted, found] = [parsed(withMarks(expected)), parsed(actual)];
  if (wanted !== undefined && found !== undefined && isData(expected) === isData(actual)) {
    return valueDifference(wanted, found, "");
  }
  return masked(expected) === masked(actual) ? null : `expected the line ${expected}\n  got ${actual}`;
}

const isData = (line: string): boolean => line.startsWith("data: ");

function withMarks(json: string): string {
  return json.replaceAll(/…\s*\}/gu, `"${rest}":0}`).replaceAll(/…\s*\]/gu, `"${rest}"]`);
}

/** undefined for a line that is not JSON, with or without "data: " before it. */
function parsed(line: string): unknown {
  try {
    return JSON.parse(line.replace(/^data: /u, ""));
  } catch {
    return undefined;
  }
}

function valueDifference(expected: unknown, actual: unknown, path: string): string | null {
  if (isFree(path, expected, actual)) return null;
  if (Array.isArray(expected) && Array.isArray(actual)) return arrayDifference(expected, actual, path);
  if (isObject(expected) && isObject(actual)) return objectDifference(expected, actual, path);
  if (typeof expected === "string" && typeof actual === "string" && masked(expected) === masked(actual)) return null;
  if (typeof expected === "number" && typeof actual === "number" && isNear(expected, actual)) return null;
  return expected === actual ? null : `${path}: expected ${JSON.stringify(expected)}, got ${JSON.stringify(actual)}`;
}

// Fractions of one machine are whole numbers on no other, so both being whole means that they count something.
function isNear(expected: number, actual: number): boolean {
  const areWhole = Number.isInteger(expected) && Number.isInteger(actual);
  return areWhole ? expected === actual : Math.abs(expected - actual) <= tolerance;
}

function isFree(path: string, expected: unknown, actual: unknown): boolean {
  return typeof expected === typeof actual && /\.(?:timings\.\w+|created_at|created)$/u.test(path);
}

function arrayDifference(expected: readonly unknown[], actual: readonly unknown[], path: string): string | null {
  const isOpen = expected.at(-1) === rest;
  const shown = isOpen ? expected.slice(0, -1) : expected;
  if (isOpen ? actual.length < shown.length : actual.length !== shown.length) {
    return `${path}: expected ${shown.length} items, got ${actual.length}`;
  }
  return firstOf(shown.map((value, i) => valueDifference(value, actual[i], `${path}[${i}]`)));
}

type Json = Readonly<Record<string, unknown>>;

function objectDifference(expected: Json, actual: Json, path: string): string | null {
  const isOpen = Object.hasOwn(expected, rest);
  const names = Object.keys(expected).filter((name) => name !== rest);
  const extra = isOpen ? undefined : Object.keys(actual).find((name) => !Object.hasOwn(expected, name));
  if (extra !== undefined) return `${path}.${extra}: not shown`;
  return firstOf(names.map((name) => valueDifference(expected[name], actual[name], `${path}.${name}`)));
}

function firstOf(differences: readonly (string | null)[]): string | null {
  return differences.find((one) => one !== null) ?? null;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
