// The steps from a read folder to a served model that need no thread: tokenizers, special ids, the engine's probe, and what must agree at the end.
import type { Parameters } from "../../parameters.js";
import type { EngineFacts } from "./engine-facts.js";
import type { FolderPlan } from "../folder/folder.js";
import {
  idList,
  modelLimits,
  specialIds,
  type ServedModel,
  type ServerLimits,
  type SpecialIds,
} from "./served-model.js";
import { usualTask } from "./tasks.js";
import { loadTokenizers } from "../folder/folder-tokenizers.js";
import type { Probe } from "../protocol/engine-protocol.js";

export type TextSide = Pick<ServedModel, "source" | "target" | "special" | "inputPrefix" | "defaults" | "limits">;

/** Ids that a tokenizer may have for each one that is scored: masks and other tokens are never generated. */
const spareIdsFactor = 1.05;

const longestMessage = 500;

export async function textSide(folder: FolderPlan, limits: ServerLimits): Promise<TextSide> {
  const { source, target } = await loadTokenizers(folder.folder, folder.manifest);
  const special = specialIds(folder, target);
  return { source, target, special, ...usualTask(folder), limits: modelLimits(folder, limits) };
}

/** What the engine tries while loading. A vocabulary of the manifest is the model's own: its last id must be one that the encoder knows. */
export function engineProbe({ manifest, files, plan }: FolderPlan, { source, special, defaults }: TextSide): Probe {
  const isOwn = manifest.source?.vocab !== undefined;
  const last = isOwn ? source.vocabSize - 1 : (special.eos[0] ?? special.start);
  const [encoderFile = plan.layout, decoderFile = encoderFile] = Object.values(files);
  const ids = idsByField(special, defaults);
  return {
    sourceIds: [last],
    startId: special.start,
    ids,
    encoderFile,
    decoderFile,
    lastSourceId: isOwn ? last : null,
  };
}

function idsByField(special: SpecialIds, defaults: Parameters): Probe["ids"] {
  const fields: readonly (readonly [string, unknown])[] = [
    ["target.bos or decoder_start_token_id", special.start],
    ["target.eos or eos_token_id", special.eos],
    ["target.padToken or pad_token_id", special.pad],
    ["forced_bos_token_id", defaults.forced_bos_token_id],
    ["forced_eos_token_id", defaults.forced_eos_token_id],
    ["suppress_tokens", defaults.suppress_tokens],
    ["begin_suppress_tokens", defaults.begin_suppress_tokens],
    ["bad_words_ids", defaults.bad_words_ids?.flat()],
  ];
  return fields.flatMap(([field, value]) => idList(value).map((id) => ({ field, id })));
}

/** One line when a vocabulary doesn't fit the scores; else null. */
export function vocabularyFault(
  { folder, manifest }: FolderPlan,
  { target }: TextSide,
  { vocabSize: scores }: Pick<EngineFacts, "vocabSize">,
): string | null {
  if (scores === null) return null;
  const { vocabSize } = target;
  if (manifest.target?.vocab !== undefined && vocabSize !== scores)
    return `${folder}: target.vocab: ${vocabSize} symbols (largest id + 1), but the decoder scores ${scores}`;
  if (vocabSize > scores * spareIdsFactor)
    return `${folder}: the tokenizer's vocabulary has ${vocabSize} ids, but the decoder scores ${scores}`;
  return null;
}

/** ONNX Runtime's messages have several lines, and those of a hostile file any content. */
export function oneLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  const line = text.replaceAll(/[\s\p{Cc}]+/gu, " ").trim();
  return line.length <= longestMessage ? line : `${line.slice(0, longestMessage)} …`;
}

/** What a load adds to the process's resident memory: known only where no other load ran at the same time. */
export class LoadMeter {
  readonly #read: () => number;
  #running = 0;
  #started = 0;

  /** @param read resident bytes of the process */
  constructor(read: () => number = () => process.memoryUsage.rss()) {
    this.#read = read;
  }

  /** `bytes` is null where loads overlapped. */
  async measure<T>(load: () => Promise<T>): Promise<{ readonly value: T; readonly bytes: number | null }> {
    const before = this.#read();
    const order = ++this.#started;
    const wasAlone = this.#running === 0;
    this.#running += 1;
    try {
      const value = await load();
      const isAlone = wasAlone && this.#started === order;
      return { value, bytes: isAlone ? Math.max(0, this.#read() - before) : null };
    } finally {
      this.#running -= 1;
    }
  }
}
