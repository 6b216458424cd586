// Examples of the docs: a block that can be run, with a block right behind it that shows the answer. Run by e2e/docs.test.ts and python/run.ts.
import { blocksOf, pages } from "./markdown.js";

export interface Example {
  /** docs/streaming.md:12 */
  readonly name: string;
  readonly page: string;
  readonly text: string;
  readonly shown: string;
}

export type ExampleLanguage = "sh" | "ts" | "html" | "python";

/** Follows one generation through its states, with the ids and moments of one run. */
const told = new Set(["docs/generations.md"]);

/** Those of shell that ask the server; others need what no test has. */
const asks = /^(?:curl|seqserve|npx seqserve) /u;

export function docExamples(language: ExampleLanguage): Example[] {
  return pages()
    .filter((page) => !told.has(page))
    .flatMap((page) => {
      const blocks = blocksOf(page);
      return blocks.flatMap(({ line, language: written, text }, i) => {
        const answer = blocks[i + 1];
        const isShown = answer?.follows === true && ["", "json"].includes(answer.language);
        if (written !== language || !isShown || (language === "sh" && !asks.test(text))) return [];
        return [{ name: `${page}:${line}`, page, text, shown: answer.text }];
      });
    });
}

/** Addresses in the docs: port 8080 stands for the shipped models, 8081 for the zoo's. */
export function pointed(text: string, shippedUrl: string, zooUrl: string): string {
  const hosts = [shippedUrl, zooUrl].map((url) => new URL(url).host);
  return text.replaceAll(/127\.0\.0\.1:808([01])/gu, (_, zoo: string) => hosts[Number(zoo)] ?? "");
}

/** A name for the file of an example. */
export function fileName({ name }: Example): string {
  return name.replaceAll(/[/.:]/gu, "-");
}
