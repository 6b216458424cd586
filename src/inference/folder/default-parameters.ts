// The defaults of a model: generation_config.json (or the generation fields of config.json), then its task's, then seqserve.json, under each request's own parameters.
import { ParametersSchema, type Parameters } from "../../parameters.js";
import type { FolderPlan } from "./folder.js";
import { notDefaults } from "./config-fields.js";

const known = new Set(Object.keys(ParametersSchema.properties));

/** @param task its entry in task_specific_params of config.json */
export function defaultParameters(folder: FolderPlan, task: Readonly<Record<string, unknown>> = {}): Parameters {
  const { generationConfig, config, manifest } = folder;
  const fromHub = Object.keys(generationConfig).length > 0 ? generationConfig : config;
  return { ...pick(fromHub), ...pick(task), ...pick(manifest.parameters ?? {}) } as Parameters;
}

function pick(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const entries = Object.entries(values).filter(([name, value]) => {
    return known.has(name) && !notDefaults.has(name) && value !== null && value !== undefined;
  });
  return Object.fromEntries(entries);
}
