// From a manifest to the engine's plan: layout, files, tensor names by role. Every field is honoured, or refused by name.
import { existsSync } from "node:fs";
import { basename, join } from "node:path";
import type { EncoderPlan, RecurrentPlan, SourcePlan, StatelessPlan } from "../protocol/plan.js";
import type { Manifest } from "./manifest.js";

type EncoderFields = NonNullable<Manifest["encoder"]>;
type DecoderFields = NonNullable<Manifest["decoder"]>;

export interface ManifestPlan {
  readonly plan: RecurrentPlan | StatelessPlan;
  /** File name by role. */
  readonly files: Readonly<Record<string, string>>;
  readonly found: string;
}

/** Throws one line that names the folder and the field. */
export function manifestPlan(folder: string, manifest: Manifest, dtype: string): ManifestPlan {
  const found = dtype === "auto" ? "fp32" : dtype;
  const fail = (message: string): never => {
    throw new Error(`${folder}: seqserve.json: ${message}`);
  };
  const { encoder, decoder = fail("decoder is missing"), source } = manifest;
  if (manifest.attention !== undefined)
    fail("attention: names a layer of a transformer; a graph of your own names decoder.outputs.attention");
  const layout = layoutOf(manifest, decoder, fail);
  const shared = { source: sourcePlan(source), padId: 0 };
  const encoderPlan =
    encoder === undefined ? null : { file: withSuffix(folder, encoder.file, found), ...encoderTensors(encoder) };
  const file = withSuffix(folder, decoder.file, found);
  const files = { ...(encoderPlan !== null && { encoder: basename(encoderPlan.file) }), decoder: basename(file) };
  if (layout === "stateless") {
    refuseGiven(decoder, ["ids", "onehot", "states", "feed"], ["states", "feed"], "stateless", fail);
    return {
      plan: { layout, encoder: encoderPlan, decoder: { file, ...statelessTensors(decoder, fail) }, ...shared },
      files,
      found,
    };
  }
  if (encoderPlan === null) return fail("encoder is missing (a single graph needs decoder.inputs.targets)");
  refuseGiven(decoder, ["targets", "source"], [], "recurrent", fail);
  if ((encoderPlan.inputs.ids === null) === (encoderPlan.inputs.onehot === null))
    fail("encoder.inputs: expected one of ids and onehot");
  return {
    plan: { layout, encoder: encoderPlan, decoder: { file, ...recurrentTensors(decoder) }, ...shared },
    files,
    found,
  };
}

type Fail = (message: string) => never;

function layoutOf({ layout }: Manifest, decoder: DecoderFields, fail: Fail): "recurrent" | "stateless" {
  const { targets = null } = decoder.inputs;
  if (layout === "transformer")
    return fail('layout "transformer": its files are found by their names; encoder and decoder say nothing there');
  if (layout === "stateless" && targets === null) return fail("decoder.inputs.targets is missing");
  return layout ?? (targets === null ? "recurrent" : "stateless");
}

function sourcePlan(source: Manifest["source"] = {}): SourcePlan {
  return { padId: null, padSide: source.padSide ?? "right", padTo: source.padTo ?? null, vocabSize: null };
}

function encoderTensors({ inputs, outputs, timeFirst }: EncoderFields): Omit<EncoderPlan, "file"> {
  const { ids = null, onehot = null, mask = null, lengths = null } = inputs;
  const { memory = null, mask: ownMask = null, states = [] } = outputs;
  return {
    timeFirst: orderIn(timeFirst),
    inputs: { ids, onehot, mask, lengths },
    outputs: { memory, mask: ownMask, states },
  };
}

function recurrentTensors({ inputs, outputs, timeFirst }: DecoderFields): Omit<RecurrentPlan["decoder"], "file"> {
  const { ids = null, onehot = null, memory = null, mask = null, states = [], feed = [] } = inputs;
  const { states: statesOut = [], feed: feedOut = [] } = outputs;
  return {
    timeFirst: orderIn(timeFirst),
    inputs: { ids, onehot, memory, mask, states, feed },
    outputs: { ...scoresOf(outputs), states: statesOut, feed: feedOut },
  };
}

function statelessTensors(
  { inputs, outputs, timeFirst }: DecoderFields,
  fail: Fail,
): Omit<StatelessPlan["decoder"], "file"> {
  const { targets, source = null, memory = null, mask = null } = inputs;
  return {
    timeFirst: orderIn(timeFirst),
    inputs: { targets: targets ?? fail("decoder.inputs.targets is missing"), source, memory, mask },
    outputs: scoresOf(outputs),
  };
}

function orderIn(timeFirst: boolean | undefined): boolean | null {
  return timeFirst ?? null;
}

function scoresOf({ scores, scoresAre = "logits", attention = null }: DecoderFields["outputs"]) {
  return { scores, scoresAre, attention };
}

function refuseGiven(
  { inputs, outputs }: DecoderFields,
  inputRoles: readonly (keyof DecoderFields["inputs"])[],
  outputRoles: readonly (keyof DecoderFields["outputs"])[],
  layout: string,
  fail: Fail,
): void {
  const isGiven = (value: unknown) =>
    ![undefined, null].includes(value as null) && !(Array.isArray(value) && value.length === 0);
  const input = inputRoles.find((role) => isGiven(inputs[role]));
  if (input !== undefined) fail(`decoder.inputs.${input}: has no meaning in layout "${layout}"`);
  const output = outputRoles.find((role) => isGiven(outputs[role]));
  if (output !== undefined) fail(`decoder.outputs.${output}: has no meaning in layout "${layout}"`);
}

function withSuffix(folder: string, file: string, dtype: string): string {
  const name = dtype === "fp32" ? file : file.replace(/\.onnx$/, `_${dtype}.onnx`);
  const path = join(folder, name);
  if (!existsSync(path)) throw new Error(`${folder}: expected the file ${name}, not found`);
  return path;
}
