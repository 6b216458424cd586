// The defaults of a model: generation_config.json (or the generation fields of config.json), then seqserve.json, under each request's own parameters.
import { ParametersSchema, type Parameters } from "../parameters.js";
import type { FolderPlan } from "./folder.js";

const known = new Set(Object.keys(ParametersSchema.properties));

/** Fields that mean nothing without a request, or whose defaults are ours. */
const notDefaults = new Set(["seed", "stop", "details", "decoder_input_ids", "best_of"]);

export function defaultParameters(folder: FolderPlan): Parameters {
  const { generationConfig, config, manifest } = folder;
  const fromHub = Object.keys(generationConfig).length > 0 ? generationConfig : config;
  return { ...pick(fromHub), ...pick(manifest.parameters ?? {}) } as Parameters;
}

function pick(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const entries = Object.entries(values).filter(([name, value]) => {
    return known.has(name) && !notDefaults.has(name) && value !== null && value !== undefined;
  });
  return Object.fromEntries(entries);
}
