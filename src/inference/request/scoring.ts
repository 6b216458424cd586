// What POST /explain runs: a given output scored with the whole source, and again with each source token taken away. All pure but the tokenizer.
import { refuse } from "../../errors.js";
import { UnknownSymbol } from "../tokenizer/tokenizer.js";
import type { Prepared } from "../../generation.js";
import type { ServedModel } from "../catalog/served-model.js";

const field = "output";

export interface SourcePiece {
  readonly id: number;
  /** As the vocabulary writes it. */
  readonly text: string;
  readonly special: boolean;
}

export interface Scoring {
  readonly source: readonly SourcePiece[];
  /** With the whole source. */
  readonly whole: Prepared;
  /** [source token] Without that token; null for special tokens, and where nothing else would be left. */
  readonly without: readonly (Prepared | null)[];
}

/**
 * `output` as text, or as all ids after the start token. Each Prepared gets an id of its own.
 * Throws AppError "validation" naming `output`.
 */
export async function prepareScoring(
  prepared: Prepared,
  output: string | readonly number[],
  model: ServedModel,
  newId: () => string,
): Promise<Scoring> {
  const ids =
    typeof output === "string" ? await outputIds(output, prepared, model) : checkedIds(output, prepared, model);
  const source = prepared.sourceIds.map((id) => ({
    id,
    text: model.source.piece(id) ?? "",
    special: model.source.isSpecial(id),
  }));
  const whole = withScoredIds(prepared, ids, newId());
  const isEnough = source.filter(({ special }) => !special).length > 1;
  const without = source.map(({ special }, at) => (special || !isEnough ? null : withoutToken(whole, at, newId())));
  return { source, whole, without };
}

// The model's own distribution: rules, beams and stop strings of the request have no say in it.
function withScoredIds(prepared: Prepared, ids: readonly number[], id: string): Prepared {
  const prefix = prepared.decoding.prefix.slice(0, 1);
  const plain = { numBeams: 1, numReturnSequences: 1, doSample: false, maxLength: 1 + ids.length, prefix };
  return { ...prepared, id, decoding: { ...prepared.decoding, ...plain }, stop: [], wantLogprobs: true, scored: ids };
}

function withoutToken(whole: Prepared, at: number, id: string): Prepared {
  return { ...whole, id, sourceIds: whole.sourceIds.toSpliced(at, 1), topN: 0, wantAttention: false };
}

// A text is a whole output: what the decoder must begin with before it, its end behind it.
async function outputIds(text: string, { decoding }: Prepared, model: ServedModel): Promise<number[]> {
  const { forcedBosTokenId, eosTokenIds } = decoding;
  const end = eosTokenIds.slice(0, 1);
  return [...(forcedBosTokenId === null ? [] : [forcedBosTokenId]), ...(await encodeOutput(text, model)), ...end];
}

async function encodeOutput(text: string, { target, folder }: ServedModel): Promise<number[]> {
  const { join = "" } = folder.manifest.target ?? {};
  if (join !== "")
    return text.split(join).map((symbol) => target.idOf(symbol) ?? refuse(field, `no symbol "${symbol}"`));
  try {
    const tokens = await target.encode(text);
    return tokens.filter(({ special }) => !special).map(({ id }) => id);
  } catch (error) {
    if (error instanceof UnknownSymbol) refuse(field, error.message, [{ text: `at ${error.start}` }]);
    throw error;
  }
}

function checkedIds(ids: readonly number[], { decoding }: Prepared, { target }: ServedModel): readonly number[] {
  const wrong = ids.find((id) => id >= target.vocabSize);
  if (wrong !== undefined) refuse(field, `id ${wrong} is outside the vocabulary (0 to ${target.vocabSize - 1})`);
  const [first, ...rest] = ids;
  const isOver = rest.slice(0, -1).some((id) => decoding.eosTokenIds.includes(id));
  if (first === undefined || isOver) refuse(field, "an end token stands before the end");
  return ids;
}
