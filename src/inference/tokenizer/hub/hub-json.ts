// The parts of a tokenizer.json that we read ourselves. Format: huggingface/tokenizers 0.23 (tokenizers/src/tokenizer/serialization.rs).
import type { Json } from "../tokenizer-files.js";

export interface HubAddedToken {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

export interface HubJson {
  readonly added_tokens: readonly HubAddedToken[];
  readonly pre_tokenizer?: Json | null;
  readonly decoder?: Json | null;
  readonly model: { readonly type?: string; readonly vocab: VocabularyJson };
}

/** Unigram: pairs of piece and score, by id. All others: piece → id. */
type VocabularyJson = readonly (readonly [string, number])[] | Readonly<Record<string, number>>;

/** Throws one line for JSON that is not a tokenizer.json. */
export function checkHubJson(value: Json, path: string): HubJson {
  const model = value["model"] as Json | undefined;
  const hasVocabulary = typeof model === "object" && typeof model["vocab"] === "object" && model["vocab"] !== null;
  if (!hasVocabulary) throw new Error(`${path}: expected a tokenizer.json with model.vocab`);
  return { ...value, added_tokens: value["added_tokens"] ?? [] } as unknown as HubJson;
}

/** Pieces by id, added tokens over the model's own. */
export function piecesOf(json: HubJson, added: readonly HubAddedToken[]): (string | undefined)[] {
  const pieces: (string | undefined)[] = [];
  const { vocab } = json.model;
  if (isUnigram(vocab)) for (const [piece] of vocab) pieces.push(piece);
  else for (const [piece, id] of Object.entries(vocab)) pieces[id] = piece;
  for (const { id, content } of [...json.added_tokens, ...added]) pieces[id] = content;
  return pieces;
}

function isUnigram(vocab: VocabularyJson): vocab is readonly (readonly [string, number])[] {
  return Array.isArray(vocab);
}

/** As PreTrainedTokenizerFast does: add_prefix_space of tokenizer_config.json wins over a byte-level pre-tokenizer's own. */
export function withPrefixSpace(json: HubJson, addPrefixSpace: boolean): HubJson {
  const before = json.pre_tokenizer;
  if (before?.["type"] !== "ByteLevel" || before["add_prefix_space"] === addPrefixSpace) return json;
  return { ...json, pre_tokenizer: { ...before, add_prefix_space: addPrefixSpace } };
}
