// npm run test:python: Python's client libraries against the server. Makes their environments under .venv/ (once for each requirements file), serves the
// zoo's models and the scripted ones on free ports of this process, and runs unittest with the URLs in the environment.
import { testServer } from "../support/scripted.js";
import { zooServer } from "../support/zoo-server.js";
import { environment, run } from "./environment.js";

const current = await environment("clients", "test/python/requirements.txt");
const legacy = await environment("legacy-clients", "test/python/requirements-legacy.txt");
const zoo = await zooServer({ models: ["t5", "nllb"] });
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
    ["-m", "unittest", "discover", "--start-directory", "test/python", "--pattern", pattern],
    { env: urls },
  );
}
await zoo.close();
await scripted.close();
process.exitCode = failed === 0 ? 0 : 1;
