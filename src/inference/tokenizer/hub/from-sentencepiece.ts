// A tokenizer.json made from a sentencepiece model alone, as transformers makes its fast tokenizers: T5, NLLB, mBART, mBART-50, Pegasus, XLM-R.
// Source: convert_slow_tokenizer.py of transformers 4.57 (SpmConverter and its heirs).
import { pegasusOffset, extraIdCount } from "../class-defaults.js";
import type { HubJson } from "./hub-json.js";
import { mbart50Languages, mbartLanguages } from "../languages/language-codes.js";
import { modelTypes, pieceTypes, type Piece, type SentencePieceFile } from "../sentencepiece/model-file.js";
import type { Json, TokenizerFiles } from "../tokenizer-files.js";

type Scored = readonly [piece: string, score: number];

interface Conversion {
  readonly vocabulary: (pieces: readonly Piece[], files: TokenizerFiles) => Scored[];
  readonly unkId: (file: SentencePieceFile, files: TokenizerFiles) => number;
  /** Special tokens around a text; "$A" is the text. Languages are put in per request. */
  readonly template: readonly string[];
  readonly splitsAtSpaces?: boolean;
}

const withScores = (pieces: readonly Piece[]): Scored[] => pieces.map(({ text, score }) => [text, score]);
const zeros = (pieces: readonly string[]): Scored[] => pieces.map((piece) => [piece, 0]);
/** fairseq's first four ids; sentencepiece's own first three are left out. */
const fairseq = (behind: readonly string[]): Pick<Conversion, "vocabulary" | "unkId"> => ({
  vocabulary: (pieces) => [
    ...zeros(["<s>", "<pad>", "</s>", "<unk>"]),
    ...withScores(pieces.slice(3)),
    ...zeros(behind),
  ],
  unkId: () => 3,
});

const conversions: Readonly<Record<string, Conversion>> = {
  T5Tokenizer: {
    vocabulary: (pieces, { config }) => [...withScores(pieces), ...zeros(extraIds(extraIdCount(config, 100)))],
    unkId: (file) => file.unkId,
    template: ["$A", "</s>"],
  },
  NllbTokenizer: { ...fairseq([]), template: ["$A", "</s>"] },
  MBartTokenizer: { ...fairseq([...mbartLanguages, "<mask>"]), template: ["$A", "</s>"] },
  MBart50Tokenizer: { ...fairseq([...mbart50Languages, "<mask>"]), template: ["$A", "</s>"] },
  XLMRobertaTokenizer: { ...fairseq(["<mask>"]), template: ["<s>", "$A", "</s>"] },
  PegasusTokenizer: {
    vocabulary: pegasusVocabulary,
    unkId: (file, { config }) => file.unkId + pegasusOffset(config),
    template: ["$A", "</s>"],
    splitsAtSpaces: true,
  },
};

/** Whether a class can be made from its sentencepiece model alone. */
export function isConvertible(className: string): boolean {
  return Object.hasOwn(conversions, className);
}

/** Throws for a class without a conversion and for model types other than unigram and BPE. */
export function hubJsonFromSentencePiece(file: SentencePieceFile, files: TokenizerFiles): HubJson {
  const conversion = conversions[files.className];
  if (conversion === undefined) throw new Error(`no conversion from a sentencepiece model for ${files.className}`);
  const vocabulary = conversion.vocabulary(file.pieces, files);
  const unkId = conversion.unkId(file, files);
  const metaspace = { type: "Metaspace", replacement: "▁", prepend_scheme: prependScheme(files), split: true };
  const json = {
    version: "1.0",
    added_tokens: [],
    normalizer: normalizerOf(file),
    pre_tokenizer:
      conversion.splitsAtSpaces === true
        ? sequence("pretokenizers", [{ type: "WhitespaceSplit" }, metaspace])
        : metaspace,
    post_processor: templateOf(conversion.template, vocabulary),
    decoder: metaspace,
    model: modelOf(file, vocabulary, unkId),
  };
  return { ...json, added_tokens: addedOf(file.pieces, json.model.vocab) };
}

function extraIds(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `<extra_id_${count - 1 - index}>`);
}

function pegasusVocabulary(pieces: readonly Piece[], { config, roles }: TokenizerFiles): Scored[] {
  const offset = pegasusOffset(config);
  const sentence = config["mask_token_sent"] === undefined ? "<mask_1>" : config["mask_token_sent"];
  const masks = typeof sentence === "string" ? [sentence, roles.get("mask_token") ?? "<mask_2>"] : [];
  const unused = Array.from({ length: offset - 2 }, (_, index): Scored => [`<unk_${index + 2}>`, -100]);
  const first = zeros([roles.get("pad_token") ?? "<pad>", roles.get("eos_token") ?? "</s>", ...masks]);
  return [...first, ...unused, ...withScores(pieces.slice(2))];
}

// T5 alone has `legacy` and `add_prefix_space`; the others always begin with a space.
function prependScheme({ className, config }: TokenizerFiles): "always" | "first" | "never" {
  if (className !== "T5Tokenizer") return "always";
  if (config["add_prefix_space"] === null || config["add_prefix_space"] === false) return "never";
  return config["legacy"] === false ? "first" : "always";
}

function sequence(key: string, parts: readonly Json[]): Json {
  return { type: "Sequence", [key]: parts };
}

function normalizerOf({ normalizer: { charsmap } }: SentencePieceFile): Json {
  const precompiled = { type: "Precompiled", precompiled_charsmap: Buffer.from(charsmap).toString("base64") };
  return sequence("normalizers", [
    ...(charsmap.length === 0 ? [] : [precompiled]),
    { type: "Strip", strip_left: false, strip_right: true },
    { type: "Replace", pattern: { Regex: " {2,}" }, content: "▁" },
  ]);
}

function templateOf(template: readonly string[], vocabulary: readonly Scored[]): Json {
  const single = template.map((part) => {
    return part === "$A" ? { Sequence: { id: "A", type_id: 0 } } : { SpecialToken: { id: part, type_id: 0 } };
  });
  const tokens = template
    .filter((part) => part !== "$A")
    .map((part): [string, Json] => {
      return [part, { id: part, ids: [vocabulary.findIndex(([piece]) => piece === part)], tokens: [part] }];
    });
  const pair = [...single, { Sequence: { id: "B", type_id: 1 } }];
  return { type: "TemplateProcessing", single, pair, special_tokens: Object.fromEntries(tokens) };
}

interface ModelJson extends Json {
  readonly vocab: readonly Scored[] | Readonly<Record<string, number>>;
}

function modelOf(file: SentencePieceFile, vocabulary: readonly Scored[], unkId: number): ModelJson {
  if (file.modelType === modelTypes.unigram)
    return { type: "Unigram", unk_id: unkId, vocab: vocabulary, byte_fallback: false };
  if (file.modelType !== modelTypes.bpe)
    throw new Error(`sentencepiece model type ${file.modelType}: expected unigram (1) or BPE (2)`);
  const common = { dropout: null, unk_token: file.unkPiece, continuing_subword_prefix: null, end_of_word_suffix: null };
  const flags = { fuse_unk: true, byte_fallback: false, ignore_merges: false };
  const vocab = Object.fromEntries(vocabulary.map(([piece], id) => [piece, id]));
  return { type: "BPE", ...common, ...flags, vocab, merges: mergesOf(file.pieces, vocabulary) };
}

interface Merge {
  readonly pair: readonly [string, string];
  readonly score: number;
  readonly lengths: readonly [number, number];
}

/** generate_merges: every way to put a piece together from two others; best score first, then the longer left and right parts. */
function mergesOf(pieces: readonly Piece[], vocabulary: readonly Scored[]): (readonly [string, string])[] {
  const ids = new Map(pieces.map(({ text }, id) => [text, id]));
  const scores = new Map(vocabulary);
  const merges = [...scores].flatMap(([piece, score]) => mergesInto(piece, score, ids));
  const isBelow = (one: Merge, other: Merge) =>
    other.score - one.score || other.lengths[0] - one.lengths[0] || other.lengths[1] - one.lengths[1];
  return merges.sort(isBelow).map(({ pair }) => pair);
}

function mergesInto(piece: string, score: number, ids: ReadonlyMap<string, number>): Merge[] {
  const characters = Array.from(piece);
  const found: (Merge & { readonly order: readonly [number, number] })[] = [];
  for (let at = 1; at < characters.length; at++) {
    const [left, right] = [characters.slice(0, at).join(""), characters.slice(at).join("")];
    const order = [ids.get(left), ids.get(right)] as const;
    if (order[0] === undefined || order[1] === undefined) continue;
    found.push({ pair: [left, right], score, lengths: [at, characters.length - at], order: [order[0], order[1]] });
  }
  return found.sort((one, other) => one.order[0] - other.order[0] || one.order[1] - other.order[1]);
}

/** Control and user-defined pieces are added tokens; only the former are special. Their ids are those of the vocabulary made here. */
function addedOf(pieces: readonly Piece[], vocab: ModelJson["vocab"]) {
  const ids = Array.isArray(vocab)
    ? new Map((vocab as readonly Scored[]).map(([piece], id) => [piece, id]))
    : new Map(Object.entries(vocab as Readonly<Record<string, number>>));
  const added = pieces.filter(({ type }) => type === pieceTypes.control || type === pieceTypes.userDefined);
  return added.flatMap(({ text, type }) => {
    const id = ids.get(text);
    const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false };
    return id === undefined ? [] : [{ id, content: text, ...flags, special: type === pieceTypes.control }];
  });
}
