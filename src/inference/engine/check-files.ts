// Looks at a model's ONNX files before ONNX Runtime opens them: whole, with a graph, their external data inside the folder. Tells their size.
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { dirname, relative, sep } from "node:path";
import type { ModelProto } from "onnx-buf";
import { externalTensors, readModel, type ExternalTensor } from "../onnx/read-model.js";
import { planFiles, type ModelPlan } from "../protocol/plan.js";

/** Bytes of the files and of the weights beside them. Throws one line that names the file and its fault. */
export function checkFiles(plan: ModelPlan): number {
  const sizes = new Map<string, number>();
  for (const file of new Set(planFiles(plan))) {
    refusePointer(file);
    sizes.set(file, statSync(file).size);
    for (const tensor of externalTensors(parseModel(file))) sizes.set(tensor.file, checkTensor(file, tensor));
  }
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}

function parseModel(file: string): ModelProto {
  let model: ModelProto;
  try {
    model = readModel(file);
  } catch (error) {
    throw new Error(`${file}: not an ONNX file, or not all of one: ${(error as Error).message}`, { cause: error });
  }
  if (model.graph === undefined) throw new Error(`${file}: not an ONNX file: no graph in it`);
  return model;
}

/** What Git leaves where large files were not fetched. */
function refusePointer(file: string): void {
  const start = Buffer.alloc(64);
  const handle = openSync(file, "r");
  try {
    readSync(handle, start);
  } finally {
    closeSync(handle);
  }
  if (start.toString("latin1").startsWith("version https://git-lfs"))
    throw new Error(`${file}: a Git LFS pointer, not the file itself (git lfs pull fetches it)`);
}

/** Size of the file that holds the tensor. */
function checkTensor(file: string, tensor: ExternalTensor): number {
  const name = relative(dirname(file), tensor.file);
  const at = `${file}: external data of "${tensor.name}" in ${JSON.stringify(name)}`;
  if (name.split(sep).some((part) => part.startsWith("."))) throw new Error(`${at}: outside the model's folder`);
  const found = statSync(tensor.file, { throwIfNoEntry: false });
  if (found === undefined) throw new Error(`${at}: the file is not there`);
  if (!found.isFile()) throw new Error(`${at}: not a file`);
  const { offset, length } = tensor;
  if (!isSize(offset) || !isSize(length)) throw new Error(`${at}: offset ${offset} and length ${length}`);
  if (offset + length > found.size)
    throw new Error(`${at}: bytes ${offset} to ${offset + length}, but the file ends at byte ${found.size}`);
  return found.size;
}

function isSize(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
