// A model as the text side holds it: tokenizers, defaults and limits. Made by the catalog from a folder; knows no threads.
import type { Parameters } from "../../parameters.js";
import type { FolderPlan } from "../folder/folder.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";

export interface SpecialIds {
  /** The decoder's first input. */
  readonly start: number;
  readonly eos: readonly number[];
  readonly pad: number;
}

export interface ServedModel {
  readonly name: string;
  readonly folder: FolderPlan;
  readonly source: Tokenizer;
  readonly target: Tokenizer;
  readonly special: SpecialIds;
  /** Put before each input; another task's differs (tasks.ts). */
  readonly inputPrefix: string;
  /** generation_config.json, the task's own, then seqserve.json: under the request's own parameters. */
  readonly defaults: Parameters;
  readonly limits: ModelLimits;
  /** Steps can hand out attention rows; null: not known before an engine has loaded. */
  readonly hasAttention: boolean | null;
}

export interface ModelLimits {
  /** Source tokens of one input at most. */
  readonly maxInputTokens: number;
  readonly maxNewTokens: number;
  readonly maxBeams: number;
}

export interface ServerLimits {
  readonly maxInputTokens: number | null;
  readonly maxNewTokens: number;
  readonly maxBeams: number;
}

/** The smaller of what the server allows and what the folder says. */
export function modelLimits(folder: FolderPlan, server: ServerLimits): ModelLimits {
  const { manifest, config } = folder;
  const positions = numberOf(config["max_position_embeddings"]) ?? numberOf(config["n_positions"]);
  const least = (...values: (number | null | undefined)[]) =>
    Math.min(...values.filter((value): value is number => typeof value === "number"));
  return {
    maxInputTokens: least(
      server.maxInputTokens,
      manifest.limits?.maxInputTokens,
      manifest.source?.maxLength,
      manifest.source?.padTo,
      positions,
      65_536,
    ),
    maxNewTokens: least(server.maxNewTokens, manifest.limits?.maxNewTokens, manifest.target?.maxLength, positions),
    maxBeams: least(server.maxBeams, manifest.limits?.maxBeams),
  };
}

/** From the manifest's symbols, else generation_config.json and config.json. Throws one line that names what is missing. */
export function specialIds(folder: FolderPlan, target: Tokenizer): SpecialIds {
  const { bos, eos, padToken } = folder.manifest.target ?? {};
  const symbolIds = (symbol: string | number | null | undefined) => {
    return idList(typeof symbol === "string" ? target.idOf(symbol) : symbol);
  };
  const configured = (key: string) => idList(folder.generationConfig[key] ?? folder.config[key]);
  const [start] = [...symbolIds(bos), ...configured("decoder_start_token_id"), ...configured("bos_token_id")];
  const [ends = []] = [symbolIds(eos), configured("eos_token_id")].filter((ids) => ids.length > 0);
  const [pad] = [...symbolIds(padToken), ...configured("pad_token_id"), ...ends];
  if (start === undefined)
    throw new Error(`${folder.folder}: no start token: expected target.bos or decoder_start_token_id`);
  if (pad === undefined) throw new Error(`${folder.folder}: no end token: expected target.eos or eos_token_id`);
  return { start, eos: ends, pad };
}

export function idList(value: unknown): number[] {
  return [value].flat().filter((id): id is number => typeof id === "number");
}

function numberOf(value: unknown): number | null {
  return typeof value === "number" ? value : null;
}
