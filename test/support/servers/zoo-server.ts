// The real server over the zoo's models on a free port of this process: real tokenizers, real ONNX Runtime, real queue.
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buildApp, type BuiltApp } from "../../../src/app.js";
import { defaultConfig, type Config } from "../../../src/config/config.js";
import { createLog } from "../../../src/telemetry/log.js";
import { connect, type Parts } from "../../../src/wiring/parts.js";
import { metricSum } from "../clients/metrics-text.js";

export interface ZooServer extends BuiltApp {
  readonly url: string;
  readonly parts: Parts;
  metric(name: string, labels?: Record<string, string>): Promise<number>;
  close(): Promise<void>;
}

/** Listens, with every model loaded. */
export async function zooServer(overrides: Partial<Config> = {}): Promise<ZooServer> {
  const cacheDir = join(mkdtempSync(join(tmpdir(), "seqserve-test-")), "cache");
  const config = defaultConfig({
    modelsDir: "test/zoo",
    models: ["t5"],
    port: 0,
    logLevel: "silent",
    cacheDir,
    ...overrides,
  });
  const parts = await connect(config, createLog(config, process.stdout));
  const built = await buildApp(config, parts);
  const url = await built.app.listen({ host: "127.0.0.1", port: 0 });
  await parts.inference.ready;
  return {
    ...built,
    url,
    parts,
    metric: async (name, labels = {}) => metricSum(await parts.metrics.text(), name, labels),
    close: async () => {
      await built.app.close();
      await parts.queue.close();
      await parts.inference.close();
      parts.metrics.close();
    },
  };
}
