// A real Chromium for the page's tests and pictures; null where there is none.
import { existsSync } from "node:fs";
import { chromium, type Browser } from "playwright-core";

const places = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Why there is no browser, for a skipped test; false when there is one. */
export const noBrowser =
  browserPath() === null && "no Chromium on this machine (apt-get install chromium, or CHROMIUM=…)";

export function browserPath(): string | null {
  const named = process.env["CHROMIUM"];
  return [...(named === undefined ? [] : [named]), ...places].find((path) => existsSync(path)) ?? null;
}

export async function launchBrowser(): Promise<Browser> {
  const executablePath = browserPath();
  if (executablePath === null) throw new Error("no Chromium found");
  // Containers run as root, where Chromium's own sandbox can't start; only this server's page is opened.
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
}
