// How far a pull is: a bar that is drawn over and over on a terminal, else a line per file and one now and then.
import type { HubFile } from "../hub/hub.js";
import type { PullProgress } from "../hub/pull.js";
import { size } from "./terminal.js";

const barMs = 100;
const lineMs = 10_000;
const barWidth = 24;

export class PullLines implements PullProgress {
  readonly #title: string;
  readonly #line: (text: string) => void;
  readonly #bar: ((text: string) => void) | null;
  #total = 0;
  #done = 0;
  #files = 0;
  #filesDone = 0;
  #shownAt = performance.now();

  /** `bar` draws a line over the last one; null where nobody can see that. */
  constructor(title: string, line: (text: string) => void, bar: ((text: string) => void) | null) {
    this.#title = title === "" ? "" : `${title}: `;
    this.#line = line;
    this.#bar = bar;
  }

  start(files: number, bytes: number): void {
    if (this.#total === 0) this.#line(`${this.#title}${files} file${files === 1 ? "" : "s"}, ${size(bytes)}`);
    this.#files = files;
    this.#total = bytes;
    this.#draw(0);
  }

  fileDone({ path, bytes }: HubFile): void {
    this.#filesDone += 1;
    if (this.#bar === null) this.#line(`${this.#title}${this.#filesDone}/${this.#files} ${path}, ${size(bytes)}`);
    this.#draw(0);
  }

  bytesDone(count: number): void {
    this.#done += count;
    this.#draw(this.#bar === null ? lineMs : barMs);
  }

  /** The next line begins at the left. */
  end(): void {
    this.#bar?.("");
  }

  #draw(everyMs: number): void {
    const now = performance.now();
    if (now - this.#shownAt < everyMs || (everyMs === 0 && this.#bar === null)) return;
    this.#shownAt = now;
    const share = this.#total === 0 ? 1 : Math.min(1, this.#done / this.#total);
    const filled = Math.round(share * barWidth);
    const bar = `[${"=".repeat(filled)}${" ".repeat(barWidth - filled)}]`;
    const facts = `${Math.floor(share * 100)} %, ${size(this.#done)} of ${size(this.#total)}`;
    if (this.#bar === null) this.#line(`${this.#title}${facts}`);
    else this.#bar(`${bar} ${facts}`);
  }
}
