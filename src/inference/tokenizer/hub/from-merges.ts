// A tokenizer.json made from vocab.json and merges.txt: BART, MVP, LED, Blenderbot. Source: RobertaConverter in convert_slow_tokenizer.py of transformers 4.57.
import type { HubJson } from "./hub-json.js";
import type { Json, PieceIds, TokenizerFiles } from "../tokenizer-files.js";

/** `merges` is the text of merges.txt. */
export function hubJsonFromMerges(vocabulary: PieceIds, merges: string, files: TokenizerFiles): HubJson {
  const addPrefixSpace = files.config["add_prefix_space"] === true;
  const trimOffsets = files.config["trim_offsets"] !== false;
  const [start, end] = [files.roles.get("cls_token") ?? "<s>", files.roles.get("sep_token") ?? "</s>"];
  const json = {
    version: "1.0",
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: byteLevel(addPrefixSpace),
    post_processor: processorOf(
      files,
      trimOffsets,
      addPrefixSpace,
      [start, vocabulary.get(start)],
      [end, vocabulary.get(end)],
    ),
    decoder: byteLevel(true),
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: "",
      end_of_word_suffix: "",
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary),
      merges: mergePairs(merges),
    },
  };
  return json;
}

function byteLevel(addPrefixSpace: boolean): Json {
  return { type: "ByteLevel", add_prefix_space: addPrefixSpace, trim_offsets: true, use_regex: true };
}

type IdToken = readonly [string, unknown];

function processorOf(
  files: TokenizerFiles,
  trimOffsets: boolean,
  addPrefixSpace: boolean,
  start: IdToken,
  end: IdToken,
): Json {
  const roberta = { type: "RobertaProcessing", trim_offsets: trimOffsets, add_prefix_space: addPrefixSpace };
  if (files.className !== "BlenderbotTokenizer") return { ...roberta, sep: end, cls: start };
  // Blenderbot puts nothing before a text.
  const single = [{ Sequence: { id: "A", type_id: 0 } }, { SpecialToken: { id: end[0], type_id: 0 } }];
  const token = { id: end[0], ids: [end[1]], tokens: [end[0]] };
  return {
    type: "TemplateProcessing",
    single,
    pair: [...single, { Sequence: { id: "B", type_id: 0 } }],
    special_tokens: { [end[0]]: token },
  };
}

function mergePairs(merges: string): string[][] {
  const lines = merges.split("\n").filter((line) => line.trim() !== "" && !line.startsWith("#version"));
  return lines.map((line) => line.trimEnd().split(" ").slice(0, 2));
}
