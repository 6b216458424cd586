// The rules as promtool reads them, by its own words; and the parts of an alert's expression that must have data for it ever to fire.
import { readdirSync, readFileSync } from "node:fs";
import { rulesFolder } from "./prometheus.js";

export interface Alert {
  readonly name: string;
  readonly expr: string;
  readonly severity: string;
  readonly summary: string;
  readonly description: string;
  readonly runbookUrl: string;
}

export interface Recording {
  readonly name: string;
  readonly expr: string;
}

/** Reads the plain YAML that the files are written in: one key a line, expressions on one line or in a block. */
export function rules(): { readonly alerts: Alert[]; readonly recordings: Recording[] } {
  const blocks = readdirSync(rulesFolder).flatMap((name) =>
    readFileSync(`${rulesFolder}/${name}`, "utf8")
      .split(/^ {6}- (?=alert:|record:)/mu)
      .slice(1),
  );
  const alerts = blocks.filter((block) => block.startsWith("alert:")).map(alertOf);
  const recordings = blocks
    .filter((block) => block.startsWith("record:"))
    .map((block) => ({ name: field(block, "record"), expr: exprOf(block) }));
  return { alerts, recordings };
}

function alertOf(block: string): Alert {
  return {
    name: field(block, "alert"),
    expr: exprOf(block),
    severity: /severity: (\w+)/u.exec(block)?.[1] ?? "",
    summary: field(block, "summary"),
    description: field(block, "description"),
    runbookUrl: field(block, "runbook_url"),
  };
}

function field(block: string, name: string): string {
  const value = new RegExp(String.raw`^\s*${name}: (.+)$`, "mu").exec(block)?.[1] ?? "";
  return value.startsWith('"') ? (JSON.parse(value) as string) : value;
}

function exprOf(block: string): string {
  const [, inBlock] = /^ +expr: \|\n((?: {10}.*\n)+)/mu.exec(block) ?? [];
  return (inBlock ?? field(block, "expr")).replaceAll(/\s+/gu, " ").trim();
}

/** What is compared, without the comparison: `a > 1 and b == 0` is a, b. */
export function leftSides(expr: string): string[] {
  const inside = /^absent\((.+)\)$/u.exec(expr)?.[1] ?? expr;
  return inside.split(/ and /u).map((part) => balanced(part.replace(/ (?:>|<|==) [\d.* ]+\)?$/u, "")));
}

function balanced(part: string): string {
  const count = (character: string) => part.split(character).length - 1;
  const surplus = count("(") - count(")");
  if (surplus > 0) return balanced(part.replace(/^\s*\(/u, ""));
  return surplus < 0 ? balanced(part.replace(/\)\s*$/u, "")) : part.trim();
}
