// Special tokens that tokenizer classes of transformers 4.57 have when a folder's files name none. One row a class.
import { mbart50Languages, mbartLanguages, nllbLanguages } from "./languages/language-codes.js";

/** How a special token treats the text around it. */
export interface TokenFlags {
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
  readonly normalized?: boolean;
}

export interface ClassDefaults {
  /** By role, in transformers' order. */
  readonly roles: Readonly<Record<string, string>>;
  /** By role, where a token is written as a plain string. */
  readonly flags?: Readonly<Record<string, TokenFlags>>;
  /** Given the class's own options and the additional special tokens of the files (null: none named), the whole list. */
  readonly additional: (
    config: Readonly<Record<string, unknown>>,
    named: readonly string[] | null,
  ) => readonly string[];
}

const fairseqRoles = {
  bos_token: "<s>",
  eos_token: "</s>",
  unk_token: "<unk>",
  sep_token: "</s>",
  pad_token: "<pad>",
  cls_token: "<s>",
  mask_token: "<mask>",
};
const plainRoles = { eos_token: "</s>", unk_token: "<unk>", pad_token: "<pad>" };
const maskFlags = { mask_token: { lstrip: true } };
const normalizedMaskFlags = { mask_token: { lstrip: true, normalized: true } };
const strip = { lstrip: true, rstrip: true, normalized: true };
const asNamed = (_: unknown, named: readonly string[] | null) => named ?? [];

export const classDefaults: Readonly<Record<string, ClassDefaults>> = {
  T5Tokenizer: { roles: plainRoles, additional: withExtraIds(100) },
  ByT5Tokenizer: {
    roles: plainRoles,
    flags: { eos_token: strip, unk_token: strip, pad_token: strip },
    additional: withExtraIds(125),
  },
  MarianTokenizer: { roles: plainRoles, additional: asNamed },
  M2M100Tokenizer: { roles: without(fairseqRoles, ["cls_token", "mask_token"]), additional: asNamed },
  NllbTokenizer: { roles: fairseqRoles, flags: normalizedMaskFlags, additional: (_, named) => named ?? nllbLanguages },
  MBartTokenizer: {
    roles: fairseqRoles,
    flags: maskFlags,
    additional: (_, named) => [...mbartLanguages, ...(named ?? []).filter((token) => !mbartLanguages.includes(token))],
  },
  MBart50Tokenizer: {
    roles: without(fairseqRoles, ["bos_token"]),
    flags: normalizedMaskFlags,
    additional: (_, named) => [
      ...(named ?? []),
      ...mbart50Languages.filter((token) => named?.includes(token) !== true),
    ],
  },
  PegasusTokenizer: { roles: { ...plainRoles, mask_token: "<mask_2>" }, additional: pegasusTokens },
  XLMRobertaTokenizer: { roles: fairseqRoles, flags: maskFlags, additional: asNamed },
  BartTokenizer: { roles: fairseqRoles, flags: normalizedMaskFlags, additional: asNamed },
  MvpTokenizer: { roles: fairseqRoles, flags: normalizedMaskFlags, additional: asNamed },
  LEDTokenizer: { roles: fairseqRoles, flags: normalizedMaskFlags, additional: asNamed },
  BlenderbotTokenizer: { roles: fairseqRoles, flags: normalizedMaskFlags, additional: asNamed },
};

function without(roles: Readonly<Record<string, string>>, names: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(roles).filter(([name]) => !names.includes(name)));
}

/** T5's sentinels; `extra_ids` of the config says how many. */
export function extraIdCount(config: Readonly<Record<string, unknown>>, fallback: number): number {
  return typeof config["extra_ids"] === "number" ? config["extra_ids"] : fallback;
}

// ByT5Tokenizer saves extra_ids as 0 beside the tokens themselves: what is named counts.
function withExtraIds(fallback: number): ClassDefaults["additional"] {
  return (config, named) => {
    if (named?.some((token) => token.includes("<extra_id_")) === true) return named;
    const count = extraIdCount(config, fallback);
    return [...(named ?? []), ...Array.from({ length: count }, (_, index) => `<extra_id_${index}>`)];
  };
}

export function pegasusOffset(config: Readonly<Record<string, unknown>>): number {
  return typeof config["offset"] === "number" ? config["offset"] : 103;
}

function pegasusTokens(config: Readonly<Record<string, unknown>>, named: readonly string[] | null): string[] {
  const offset = pegasusOffset(config);
  const sentence = config["mask_token_sent"] === undefined ? "<mask_1>" : (config["mask_token_sent"] as string | null);
  const first = sentence === null || named?.includes(sentence) === true ? [] : [sentence];
  const before = [...first, ...(named ?? [])];
  const from = named === null ? 2 : before.length;
  const until = named === null ? offset : offset - 1;
  const rest = Array.from({ length: Math.max(0, until - from) }, (_, index) => `<unk_${from + index}>`);
  return [...before, ...rest];
}
