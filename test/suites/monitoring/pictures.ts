// npm run suite -- monitoring-pictures: a real system through a few minutes of ups and downs, watched by a real Prometheus; each dashboard drawn from its answers and
// photographed by a real Chromium into docs/pictures/.
import { mkdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { launchBrowser } from "../../../bench/tools/browser.js";
import { dashboards } from "./dashboards.js";
import { pageOf, type Span } from "./draw.js";
import { keepMixed } from "./load.js";
import { System } from "./system.js";

const out = "docs/pictures";

await using system = await System.start();
const from = Date.now() / 1000;
await story(system);
const to = Date.now() / 1000;
const span: Span = { from, to, stepSeconds: 2, rate: "10s" };
mkdirSync(out, { recursive: true });
const browser = await launchBrowser();
try {
  for (const { file, dashboard } of dashboards()) {
    const page = await browser.newPage({ viewport: { width: 1464, height: 900 } });
    await page.setContent(await pageOf(dashboard, system.prometheus, span));
    await page.screenshot({ path: `${out}/dashboard-${file.replace(".json", "")}.png`, fullPage: true });
    await page.close();
  }
} finally {
  await browser.close();
}

/** Quiet, busy, a worker killed and started again, more than can be done, quiet. */
async function story({ urls, api, server, workers }: System): Promise<void> {
  const quiet = keepMixed({ urls, clients: 4, restMs: 150 });
  await sleep(30_000);
  const busy = keepMixed({ urls, clients: 16, restMs: 20 });
  await sleep(25_000);
  await workers[0]?.end("SIGKILL");
  await sleep(6000);
  await workers[0]?.refill();
  await sleep(20_000);
  const crowds = [
    keepMixed({ urls: [api.url], clients: 90, restMs: 0 }),
    keepMixed({ urls: [server.url], clients: 40, restMs: 0 }),
  ];
  await sleep(20_000);
  await Promise.all(crowds.map((crowd) => crowd.stop()));
  await sleep(15_000);
  await busy.stop();
  await sleep(25_000);
  await quiet.stop();
}
