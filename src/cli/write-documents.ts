// Writes the documents that are made from code: openapi.yaml, docs/settings.md and docs/seqserve.schema.json. Listens nowhere and loads no model.
import { writeFile } from "node:fs/promises";
import { buildApp } from "../app.js";
import { defaultConfig } from "../config/config.js";
import type { Inference } from "../inference/inference.js";
import { manifestJsonSchema } from "../inference/folder/manifest.js";
import { localGenerations } from "../wiring/generations.js";
import { createLog } from "../telemetry/log.js";
import { createMetrics } from "../telemetry/metrics.js";
import type { GenerationQueue } from "../queue/queue.js";
import { settingsPage } from "../config/settings.js";
import { version } from "../version.js";

const unused = (): never => {
  throw new Error("not for documents");
};
const inference: Inference = {
  prepare: unused,
  generate: unused,
  continue: unused,
  scoring: unused,
  tokenize: unused,
  detokenize: unused,
  models: () => [],
  digest: unused,
  variant: unused,
  facts: unused,
  learn: unused,
  ready: Promise.resolve(),
  close: () => Promise.resolve(),
};
const queue: GenerationQueue = { submit: unused, depth: unused, close: () => Promise.resolve() };

const config = defaultConfig({ logLevel: "silent" });
const metrics = createMetrics(version, { runtime: false });
const log = createLog(config, process.stdout);
const foundations = { log, metrics, inference, queue, writeWebhook: unused };
const { app } = await buildApp(config, { ...foundations, ...localGenerations(config, foundations) });
await writeFile("openapi.yaml", app.swagger({ yaml: true }));
await writeFile("docs/settings.md", settingsPage());
await writeFile("docs/seqserve.schema.json", manifestJsonSchema());
await app.close();
metrics.close();
