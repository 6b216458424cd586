// Tasks of one model (T5, BART): config.json's task_specific_params give each a prefix of the input and defaults of its own.
import { refuse } from "../../errors.js";
import { suggestion } from "../../nearest.js";
import type { Parameters } from "../../parameters.js";
import { defaultParameters } from "../folder/default-parameters.js";
import type { FolderPlan } from "../folder/folder.js";
import type { ServedModel } from "./served-model.js";

/** What is done without a word of the request. */
export interface Task {
  /** Put before each input. */
  readonly inputPrefix: string;
  /** Under the request's own parameters. */
  readonly defaults: Parameters;
}

/** The model's usual task: what its manifest names and says, else no prefix and the defaults of its files. */
export function usualTask(folder: FolderPlan): Task {
  const { task, inputPrefix } = folder.manifest;
  const named = taskParameters(folder)[task ?? ""] ?? {};
  return { inputPrefix: inputPrefix ?? inputPrefixOf(named), defaults: defaultParameters(folder, named) };
}

/** Tasks that a request may name. */
export function taskNames({ folder }: Pick<ServedModel, "folder">): string[] {
  const { task } = folder.manifest;
  return [...new Set([...(task === undefined ? [] : [task]), ...Object.keys(taskParameters(folder))])];
}

/** The model as that task wants it. Throws AppError "validation" for one that the model doesn't have. */
export function modelForTask(model: ServedModel, task: string | undefined): ServedModel {
  const { folder } = model;
  if (task === undefined || task === folder.manifest.task) return model;
  const names = taskNames(model);
  if (!names.includes(task)) {
    const known = names.length === 0 ? "none" : names.join(", ");
    refuse("parameters.task", `this model has no task "${task}"${suggestion(task, names)}; it has: ${known}`);
  }
  const named = taskParameters(folder)[task] ?? {};
  return { ...model, inputPrefix: inputPrefixOf(named), defaults: defaultParameters(folder, named) };
}

type Json = Readonly<Record<string, unknown>>;

/** Their form was checked with config.json's other fields. */
function taskParameters({ config }: FolderPlan): Readonly<Record<string, Json>> {
  return (config["task_specific_params"] ?? {}) as Record<string, Json>;
}

function inputPrefixOf(task: Json): string {
  return typeof task["prefix"] === "string" ? task["prefix"] : "";
}
