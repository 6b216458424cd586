// Markdown pages as the tests of the docs read them: fenced blocks, tables, links and the anchors of headings.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

/** Every page of the project that people read. */
export function pages(): string[] {
  const below = (folder: string) =>
    readdirSync(folder, { recursive: true, encoding: "utf8" }).map((name) => join(folder, name));
  const models = readdirSync("models").map((name) => join("models", name, "README.md"));
  const all = [...readdirSync("."), ...below("docs"), ...below("bench/results"), ...models];
  return all.filter((name) => name.endsWith(".md")).sort();
}

export interface Block {
  readonly page: string;
  /** Of its opening fence, from 1. */
  readonly line: number;
  readonly language: string;
  readonly text: string;
  /** Nothing but blank lines stands between the block before and this one. */
  readonly follows: boolean;
}

/** Fenced blocks in order. */
export function blocksOf(page: string): Block[] {
  const blocks: Block[] = [];
  let open: { line: number; language: string; lines: string[]; follows: boolean } | null = null;
  let isBehindBlock = false;
  for (const [i, line] of readFileSync(page, "utf8").split("\n").entries()) {
    const fence = /^```(\w*)$/u.exec(line);
    if (open !== null) {
      if (fence === null) open.lines.push(line);
      else {
        blocks.push({
          page,
          line: open.line,
          language: open.language,
          text: open.lines.join("\n"),
          follows: open.follows,
        });
        open = null;
        isBehindBlock = true;
      }
    } else if (fence !== null) open = { line: i + 1, language: fence[1] ?? "", lines: [], follows: isBehindBlock };
    else if (line.trim() !== "") isBehindBlock = false;
  }
  return blocks;
}

/** A page without its fenced blocks. */
export function prose(page: string): string {
  return readFileSync(page, "utf8").replaceAll(/^```[^]*?^```$/gmu, "");
}

/** Cells of all rows of all tables whose head begins with this cell. */
export function rowsOf(page: string, head: string): string[][] {
  const rows: string[][] = [];
  let isInside = false;
  for (const line of prose(page).split("\n")) {
    const cells = cellsOf(line);
    if (cells === null) isInside = false;
    else if (cells[0] === head) isInside = true;
    else if (isInside && !/^:?-+:?$/u.test(cells[0] ?? "")) rows.push(cells);
  }
  return rows;
}

// A bar inside a cell is written \|.
function cellsOf(line: string): string[] | null {
  if (!line.startsWith("|")) return null;
  const cells = line.split(/(?<!\\)\|/u).slice(1, -1);
  return cells.map((cell) => cell.trim().replaceAll("\\|", "|"));
}

/** Targets of the page's links within the project, as [what is written, file, anchor]. */
export function linksOf(page: string): [link: string, file: string, anchor: string][] {
  const links = [...prose(page).matchAll(/\]\(([^)\s]+)\)/gu)].map(([, link = ""]) => link);
  return links
    .filter((link) => !/^[a-z]+:/u.test(link))
    .map((link) => {
      const [path = "", anchor = ""] = link.split("#");
      return [link, path === "" ? page : normalize(join(dirname(page), path)), anchor];
    });
}

/** What GitHub makes of the page's headings. */
export function anchorsOf(page: string): string[] {
  return [...prose(page).matchAll(/^#+ (.+)$/gmu)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
      .trim()
      .replaceAll(" ", "-"),
  );
}
