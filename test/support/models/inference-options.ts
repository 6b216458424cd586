// Options of a real inference for tests: one engine of one thread a model, nothing reported.
import type { InferenceOptions } from "../../../src/inference/inference.js";

export function inferenceOptions(
  overrides: Partial<InferenceOptions> & Pick<InferenceOptions, "modelsDir" | "cacheDir">,
): InferenceOptions {
  return {
    models: null,
    device: "cpu",
    dtype: "auto",
    engines: 1,
    threads: 1,
    cpus: 1,
    maxBatchRows: 8,
    maxEncodeTokens: 512,
    limits: { maxInputTokens: null, maxNewTokens: 64, maxBeams: 4 },
    defaultTimeoutMs: null,
    idleUnloadMs: 0,
    loadTimeoutMs: 30_000,
    onStep: () => undefined,
    onLoaded: () => undefined,
    onUnloaded: () => undefined,
    ...overrides,
  };
}
