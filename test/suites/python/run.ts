// npm run suite -- python: Python's client libraries against the server. Makes their environments under .venv/ (once for each requirements file), serves the
// zoo's models and the scripted ones on free ports of this process, and runs unittest with the URLs in the environment; then the docs' Python examples.
import { spawnSync } from "node:child_process";
import { startServer } from "../../../bench/tools/server-process.js";
import { docExamples, pointed } from "../../support/documents/doc-examples.js";
import { pythonEnvironment, run } from "../../support/python/environment.js";
import { testServer } from "../../support/servers/scripted.js";
import { difference } from "../../support/documents/shown-answer.js";
import { zooServer } from "../../support/servers/zoo-server.js";

/** Runs the Python of the docs as it stands there; says which did not print what is shown. */
async function failedExamples(bin: string): Promise<number> {
  const shipped = await startServer();
  const failures = docExamples("python").filter(({ name, text, shown }) => {
    const { stdout, stderr } = spawnSync(`${bin}/python`, ["-c", pointed(text, shipped.url, zoo.url)], {
      encoding: "utf8",
    });
    const differs = difference(shown, stdout);
    process.stdout.write(`${name}: ${differs === null ? "ok" : `FAILED: ${differs}\n${stderr}`}\n`);
    return differs !== null;
  });
  await shipped.stop();
  return failures.length;
}

const current = await pythonEnvironment("clients", "test/suites/python/requirements.txt");
const legacy = await pythonEnvironment("legacy-clients", "test/suites/python/requirements-legacy.txt");
const zoo = await zooServer({ models: ["t5", "nllb"], languageDetector: "eld" });
const scripted = await testServer({ config: { maxQueuedRequests: 1 } });
const urls = { ZOO_URL: zoo.url, SCRIPTED_URL: await scripted.listen(), HF_HUB_DISABLE_TELEMETRY: "1", NO_PROXY: "*" };
const suites = [
  [current, "current_*.py"],
  [legacy, "legacy_*.py"],
] as const;
let failed = 0;
for (const [bin, pattern] of suites) {
  failed += await run(
    `${bin}/python`,
    ["-m", "unittest", "discover", "--start-directory", "test/suites/python", "--pattern", pattern],
    { env: urls },
  );
}
failed += await failedExamples(current);
await zoo.close();
await scripted.close();
process.exitCode = failed === 0 ? 0 : 1;
