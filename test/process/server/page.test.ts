// The page in a real Chromium on the real server: streams, candidates, alternatives, maps, a cut connection, and nothing axe finds serious.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { connect, createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Browser, Page } from "playwright-core";
import { launchBrowser, noBrowser } from "../../../bench/tools/browser.js";
import { startServer, type RunningServer } from "../../../bench/tools/server-process.js";

const axePath = createRequire(import.meta.url).resolve("axe-core/axe.min.js");

let server: RunningServer;
let browser: Browser;

interface Opened {
  readonly page: Page;
  /** What the console and the page complained of. */
  readonly complaints: string[];
}

async function open(url = server.url, colorScheme: "light" | "dark" = "light"): Promise<Opened> {
  const page = await browser.newPage({ colorScheme, viewport: { width: 1180, height: 900 } });
  const complaints: string[] = [];
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  await page.goto(url);
  await page.locator("#model option").first().waitFor({ state: "attached" });
  return { page, complaints };
}

async function generate(page: Page, model: string, text: string): Promise<void> {
  await page.locator("#model").selectOption(model);
  await page.locator("#inputs").fill(text);
  await page.locator("#go").click();
  await done(page);
}

/** The stream, the candidates and the maps are there. */
async function done(page: Page): Promise<void> {
  await page.locator("#inside:not(.stale) .map").first().waitFor();
  await page.locator("#candidates:not(.stale) li").first().waitFor();
  await page.locator("#go", { hasText: "Generate" }).waitFor();
}

const words = (page: Page) => page.locator(".token .word").allTextContents();

async function post<T>(path: string, body: object): Promise<T> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(server.url + path, { method: "POST", headers, body: JSON.stringify(body) });
  return (await response.json()) as T;
}

describe("the page", { skip: noBrowser }, () => {
  before(async () => {
    server = await startServer();
    browser = await launchBrowser();
  });
  after(async () => {
    await browser?.close();
    await server?.stop();
  });

  test("streams tokens with their probabilities, shows candidates by score, and complains of nothing", async () => {
    const { page, complaints } = await open();
    await generate(page, "g2p-en", "knights");
    assert.deepEqual(await words(page), ["N", "AY1", "T", "S"]);
    const shown = await page.locator(".token .probability").allTextContents();
    const { tokens } = await post<{ tokens: { logprob: number }[] }>("/explain", {
      model: "g2p-en",
      inputs: "knights",
    });
    tokens.forEach(({ logprob }, at) => {
      assert.ok(Math.abs(Number.parseFloat(shown[at] ?? "") - Math.exp(logprob) * 100) < 0.06, `${shown[at]}`);
    });
    const { outputs } = await post<{ outputs: { text: string; score: number }[] }>("/generate", {
      model: "g2p-en",
      inputs: "knights",
      parameters: { num_beams: 5, num_return_sequences: 5 },
    });
    assert.deepEqual(
      await page.locator("#nbest .candidate").allTextContents(),
      outputs.map(({ text }) => text),
    );
    assert.match(await page.locator("#nbest .score").first().innerText(), /−0\.\d{3}$/u);
    assert.match(await page.locator("#status").innerText(), /^5 tokens in \d+ ms/u);
    assert.deepEqual(complaints, []);
    await page.close();
  });

  test("an alternative that is picked becomes the forced prefix, by mouse or by keyboard", async () => {
    const { page, complaints } = await open();
    await generate(page, "g2p-en", "read");
    assert.deepEqual(await words(page), ["R", "EH1", "D"]);
    await page.locator(".tokens > li").nth(1).hover();
    await page.locator(".tokens > li").nth(1).locator(".card button", { hasText: "IY1" }).click();
    await page.locator(".token .word", { hasText: "IY1" }).waitFor();
    await done(page);
    assert.deepEqual(await words(page), ["R", "IY1", "D"]);
    assert.match(await page.locator("#call code").innerText(), /decoder_input_ids/u);
    await page.mouse.move(0, 0);
    await page.locator(".token").nth(1).focus();
    const card = page.locator(".tokens > li").nth(1).locator(".card");
    await card.waitFor({ state: "visible" });
    await page.keyboard.press("Escape");
    await card.waitFor({ state: "hidden" });
    await page.locator(".token").nth(0).focus();
    await page.locator(".token").nth(1).focus();
    await page.keyboard.press("Tab");
    const picked = await page.locator(":focus .name").innerText();
    await page.keyboard.press("Enter");
    await page.locator("#output.busy").waitFor({ state: "detached" });
    await done(page);
    assert.equal((await words(page))[1], picked);
    assert.equal(await page.locator(":focus .word").innerText(), picked, "the keyboard stays where it was");
    assert.deepEqual(complaints, []);
    await page.close();
  });

  test("a candidate that is chosen is shown in full", async () => {
    const { page, complaints } = await open();
    await generate(page, "g2p-en", "read");
    const second = page.locator("#nbest button").nth(1);
    const text = await second.locator(".candidate").innerText();
    await second.click();
    await page.locator(".token .word", { hasText: text.split(" ")[1]! }).waitFor();
    assert.deepEqual(await words(page), text.split(" "));
    assert.equal(await page.locator("#nbest button").nth(1).getAttribute("aria-pressed"), "true");
    assert.deepEqual(complaints, []);
    await page.close();
  });

  test("the maps hold the API's numbers, and show them on hover and on demand", async () => {
    const { page } = await open();
    for (const [model, inputs] of [
      ["g2p-en", "knee"],
      ["itn-en", "pay five dollars"],
    ] as const) {
      await generate(page, model, inputs);
      const answer = await post<Record<string, (number | null)[][] | null>>("/explain", { model, inputs });
      for (const title of ["attention", "occlusion"]) {
        const expected = answer[title];
        const map = page.locator(".map", { has: page.locator(`#map-${title}`) });
        assert.ok(expected, `${model} has ${title}`);
        const cells = await map.locator("tbody td").evaluateAll((all) => {
          return all.map((cell) => (cell.hasAttribute("data-value") ? Number(cell.getAttribute("data-value")) : null));
        });
        expected.flat().forEach((value, at) => {
          const shown = cells[at] ?? null;
          if (value === null) assert.equal(shown, null);
          else assert.ok(shown !== null && Math.abs(shown - value) < 1e-5, `${title} ${at}: ${shown}, not ${value}`);
        });
        assert.equal(cells.length, expected.flat().length);
        const cell = map.locator("tbody td[title]").first();
        await cell.hover();
        assert.equal(await map.locator(".readout").innerText(), await cell.getAttribute("title"));
      }
    }
    await page.locator("#numbers").check();
    const box = await page.locator("#maps .value").first().boundingBox();
    assert.ok((box?.width ?? 0) > 5, "numbers are visible");
    await page.close();
  });

  test("a cut connection is taken up again: no token lost, none twice", async (context) => {
    let cuts = 0;
    // Each of the first three readings ends in the middle of its third event.
    const proxy = createServer((client) => {
      const upstream = connect(Number(new URL(server.url).port), "127.0.0.1");
      let isEvents = false;
      let passed = "";
      client.on("data", (bytes) => {
        isEvents ||= bytes.includes("/events");
        upstream.write(bytes);
      });
      upstream.on("data", (bytes) => {
        const before = passed.length;
        passed += bytes.toString("latin1");
        const third = passed.split("data: ", 3).join("data: ").length;
        if (!isEvents || cuts === 3 || third === passed.length) return void client.write(bytes);
        cuts += 1;
        client.end(bytes.subarray(0, Math.max(third + 10 - before, 0)));
        upstream.destroy();
      });
      for (const socket of [client, upstream]) socket.on("error", () => undefined);
      client.on("close", () => upstream.destroy());
      upstream.on("close", () => client.end());
    }).listen(0, "127.0.0.1");
    context.after(() => proxy.close());
    await once(proxy, "listening");
    const { page } = await open(`http://127.0.0.1:${(proxy.address() as AddressInfo).port}`);
    const text = "meet me at quarter past nine p m on the third of march and pay three hundred and five dollars";
    // Without an explanation the tokens stay as they were streamed.
    await page.route("**/explain", (route) => route.fulfill({ status: 422, json: { error: "not now" } }));
    await page.locator("#model").selectOption("itn-en");
    await page.locator("#inputs").fill(text);
    await page.locator("#go").click();
    await page.locator("#inside-note", { hasText: "not now" }).waitFor();
    await page.locator("#nbest li").first().waitFor();
    const { generated_text } = await post<{ generated_text: string }>("/generate", { model: "itn-en", inputs: text });
    assert.equal((await words(page)).join("").replaceAll(" ", ""), generated_text.replaceAll(" ", ""));
    assert.equal(cuts, 3);
    await page.close();
  });

  test("the live strip tells what /metrics tells", async () => {
    const { page } = await open();
    await generate(page, "g2p-en", "knights");
    const strip = page.locator("#live");
    await strip.locator("dd", { hasText: / of 32 rows/u }).waitFor({ timeout: 20_000 });
    await strip.locator("dd", { hasText: /\d ms/u }).waitFor({ timeout: 20_000 });
    await page.close();
  });

  test("the same call runs as curl, Python and TypeScript, quotes in the input and all", async (context) => {
    const { page } = await open();
    await generate(page, "g2p-en", "don't");
    const text = (await words(page)).join(" ");
    const folder = mkdtempSync(join(tmpdir(), "seqserve-call-"));
    context.after(() => rmSync(folder, { recursive: true }));
    const program = async (name: string) => {
      await page.locator(".tabs button", { hasText: name }).click();
      return page.locator("#call code").innerText();
    };
    const run = (command: string, ...words: string[]) => spawnSync(command, words, { encoding: "utf8", cwd: folder });
    const curl = run("sh", "-c", await program("curl"));
    if (curl.status !== 127) assert.match(curl.stdout, new RegExp(`"generated_text":"${text}"`, "u"), curl.stderr);
    const python = run("python3", "-c", await program("Python"));
    if (python.error === undefined) assert.equal(python.stdout.trim(), text, python.stderr);
    writeFileSync(join(folder, "call.mts"), await program("TypeScript"));
    const tsc = new URL("../../../../node_modules/.bin/tsc", import.meta.url).pathname;
    const compiled = run(tsc, "--strict", "--module", "nodenext", "--lib", "es2023,dom", "--types", "", "call.mts");
    assert.equal(compiled.status, 0, compiled.stdout + compiled.stderr);
    assert.equal(run(process.execPath, "call.mjs").stdout.trim(), text);
    await page.close();
  });

  test("stop cancels the generation on the server too", async () => {
    const { page, complaints } = await open();
    // Events that never come: the generation is under way as far as the page knows.
    await page.route("**/generations/*/events", () => undefined);
    const reading = page.waitForRequest(/\/events$/u);
    await page.locator("#go").click();
    await reading;
    const cancelling = page.waitForRequest((request) => request.method() === "DELETE");
    await page.locator("#go", { hasText: "Stop" }).click();
    const id = (await cancelling).url().split("/").at(-1)!;
    assert.match(id, /^[\da-f]{32}$/u);
    await page.locator("#status", { hasText: "Stopped." }).waitFor();
    assert.equal(await page.locator("#output").isHidden(), true, "nothing is shown that is not there");
    await page.unroute("**/generations/*/events");
    await page.locator("#go", { hasText: "Generate" }).click();
    await done(page);
    assert.deepEqual(complaints, []);
    await page.close();
  });

  test("an error is told in the server's words", async () => {
    const { page } = await open();
    await page.locator("#model").selectOption("g2p-en");
    await page.locator("#inputs").fill("kn1ghts");
    await page.locator("#go").click();
    const status = page.locator("#status[data-kind=error]");
    await status.waitFor();
    assert.match(await status.innerText(), /^inputs: .*1/u);
    await page.close();
  });

  test("a narrow window scrolls maps, not the page", async () => {
    const { page, complaints } = await open();
    await page.setViewportSize({ width: 390, height: 800 });
    await generate(
      page,
      "itn-en",
      "meet me at quarter past nine p m on the third of march and pay three hundred dollars",
    );
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 390);
    assert.deepEqual(complaints, []);
    await page.close();
  });

  for (const scheme of ["light", "dark"] as const) {
    test(`axe finds nothing serious in ${scheme}`, async () => {
      const { page } = await open(server.url, scheme);
      await generate(page, "g2p-en", "colonel");
      // The policy forbids injected scripts to the page; the debugger's own evaluation is not the page's.
      await page.evaluate(readFileSync(axePath, "utf8"));
      for (const prepare of [
        () => page.mouse.move(0, 0),
        () => page.locator("#numbers").check(),
        () => page.locator(".token").nth(1).focus(),
        () => page.locator("details.key summary").click(),
      ]) {
        await prepare();
        const found = await page.evaluate(async () => {
          const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: Violation[] }> } };
          return (await axe.run()).violations.map(({ id, impact, nodes }) => ({
            id,
            impact,
            targets: nodes.map(({ target, failureSummary }) => `${target.join(" ")}: ${failureSummary}`),
          }));
        });
        const serious = found.filter(({ impact }) => impact === "serious" || impact === "critical");
        assert.deepEqual(serious, []);
      }
      await page.close();
    });
  }
});

interface Violation {
  readonly id: string;
  readonly impact: string;
  readonly nodes: { readonly target: string[]; readonly failureSummary: string }[];
}

describe("a server with keys", { skip: noBrowser }, () => {
  test("takes the key from the page's field", async () => {
    server = await startServer({ API_KEYS: "a-key-for-the-page" });
    browser = await launchBrowser();
    try {
      const { page } = await open();
      await page.locator("#go").click();
      await page.locator("#status", { hasText: "authorization" }).waitFor();
      await page.locator("details.key summary").click();
      await page.locator("#key").fill("a-key-for-the-page");
      await page.locator("#go").click();
      await done(page);
      assert.ok((await words(page)).length > 0);
      assert.ok(!(await page.locator("#call code").innerText()).includes("a-key-for-the-page"));
      await page.close();
    } finally {
      await browser.close();
      await server.stop();
    }
  });
});
