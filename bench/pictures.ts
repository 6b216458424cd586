// Makes docs/pictures/*.png from the running page: `npm run suite -- pictures`.
import { mkdirSync } from "node:fs";
import { parseArgs } from "node:util";
import type { Page } from "playwright-core";
import { launchBrowser } from "./tools/browser.js";
import { startServer } from "./tools/server-process.js";

interface Picture {
  readonly name: string;
  readonly model: string;
  readonly text: string;
  readonly scheme: "light" | "dark";
  readonly width: number;
  readonly height: number | "whole";
  prepare?(page: Page): Promise<unknown>;
}

const pictures: readonly Picture[] = [
  {
    name: "page",
    model: "g2p-en",
    text: "colonel",
    scheme: "light",
    width: 1180,
    height: "whole",
  },
  {
    name: "alternatives",
    model: "g2p-en",
    text: "read",
    scheme: "dark",
    width: 1180,
    height: 760,
    prepare: (page) => page.locator(".token").nth(1).hover(),
  },
  {
    name: "occlusion",
    model: "itn-en",
    text: "pay three hundred and five dollars on the third of march",
    scheme: "light",
    width: 1180,
    height: "whole",
    prepare: (page) => page.locator("#inside").scrollIntoViewIfNeeded(),
  },
];

const { values } = parseArgs({ options: { out: { type: "string", default: "docs/pictures" } } });
mkdirSync(values.out, { recursive: true });
const server = await startServer();
const browser = await launchBrowser();
try {
  for (const picture of pictures) await take(picture);
} finally {
  await browser.close();
  await server.stop();
}

async function take({ name, model, text, scheme, width, height, prepare }: Picture): Promise<void> {
  const size = { width, height: height === "whole" ? 900 : height };
  const page = await browser.newPage({ viewport: size, colorScheme: scheme });
  await page.goto(server.url);
  await page.locator("#model").selectOption(model);
  await page.locator("#inputs").fill(text);
  await page.locator("#go").click();
  await page.locator("#maps .map").first().waitFor();
  await page.locator("#nbest li").first().waitFor();
  await page.mouse.move(0, 0);
  await prepare?.(page);
  // The live strip has something to tell after its next turn.
  await page.waitForTimeout(2500);
  await page.screenshot({ path: `${values.out}/${name}.png`, fullPage: height === "whole" });
  await page.close();
}
