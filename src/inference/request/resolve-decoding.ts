// Decoding options of one request, resolved: defaults filled as transformers fills them, lengths counted in decoder ids, ids held against the vocabulary.
import { refuse } from "../../errors.js";
import type { Decoding } from "../../generation.js";
import { isSampling, refuseMoreOutputsThanBeams, refuseSampledBeams, type Parameters } from "../../parameters.js";
import { idList, type ServedModel } from "../catalog/served-model.js";

/** transformers stops at 20 ids when nothing sets a length; people expect whole answers. */
const defaultNewTokens = 256;

/** GenerationConfig's own max_length: transformers reads it as "nobody set a length" and counts new tokens (`_prepare_generated_length`). */
const transformersMaxLength = 20;

/** transformers' GenerationConfig where neither the request nor the model says anything. */
const transformersDefaults = {
  num_beams: 1,
  num_return_sequences: 1,
  length_penalty: 1,
  early_stopping: false as boolean | "never",
  temperature: 1,
  top_k: 50,
  top_p: 1,
  typical_p: 1,
  epsilon_cutoff: 0,
  eta_cutoff: 0,
  repetition_penalty: 1,
  encoder_repetition_penalty: 1,
  no_repeat_ngram_size: 0,
  encoder_no_repeat_ngram_size: 0,
  min_length: 0,
  bad_words_ids: [] as number[][],
  sequence_bias: [] as [number[], number][],
} satisfies Parameters;

type Options = Parameters & typeof transformersDefaults;

/** `asked` holds no nulls. Throws AppError "validation" that names the parameter. */
export function resolveDecoding(asked: Parameters, model: ServedModel, randomSeed: number): Decoding {
  const options: Options = { ...transformersDefaults, ...model.defaults, ...asked };
  const doSample = options.do_sample ?? isSampling(asked);
  const prefix = resolvePrefix(options, model);
  const numBeams = resolveBeams(options, asked, doSample, model);
  return {
    prefix,
    ...resolveLengths(options, asked, prefix.length, model),
    eosTokenIds: model.special.eos,
    padTokenId: model.special.pad,
    numReturnSequences: resolveOutputs(options, numBeams, doSample, model),
    numBeams,
    lengthPenalty: options.length_penalty,
    earlyStopping: options.early_stopping,
    doSample,
    seed: options.seed ?? randomSeed,
    ...warperOptions(options),
    ...processorOptions(options, model),
  };
}

// A request that samples from a model whose default is beams means one beam; asking for both is refused.
function resolveBeams(
  { num_beams: numBeams }: Options,
  asked: Parameters,
  doSample: boolean,
  model: ServedModel,
): number {
  const { maxBeams } = model.limits;
  if (doSample && asked.num_beams === undefined) return 1;
  if (numBeams > maxBeams) refuse("parameters.num_beams", `at most ${maxBeams} for this model`);
  refuseSampledBeams(numBeams, doSample, "set do_sample false or num_beams 1");
  return numBeams;
}

function resolveOutputs(options: Options, numBeams: number, doSample: boolean, { limits }: ServedModel): number {
  const outputs = options.best_of ?? options.num_return_sequences;
  const name = options.best_of === undefined ? "num_return_sequences" : "best_of";
  if (outputs > limits.maxBeams) refuse(`parameters.${name}`, `at most ${limits.maxBeams} for this model`);
  refuseMoreOutputsThanBeams(name, outputs, numBeams, doSample);
  return outputs;
}

function resolvePrefix(options: Options, model: ServedModel): number[] {
  const ids = (options.decoder_input_ids ?? []).flat();
  checkIds("decoder_input_ids", ids, model);
  // As transformers does: the start token is put before ids that don't begin with it.
  return ids[0] === model.special.start ? ids : [model.special.start, ...ids];
}

/** transformers' precedence: max_new_tokens over max_length, min_new_tokens over min_length. All count decoder ids, prefix included. */
function resolveLengths(options: Options, asked: Parameters, prefix: number, model: ServedModel) {
  const minNewTokens = options.min_new_tokens ?? 0;
  return {
    maxLength: resolveMaxLength(options, asked, prefix, model.limits.maxNewTokens),
    minLength: options.min_new_tokens === undefined ? options.min_length : prefix + minNewTokens,
    minNewTokens,
  };
}

// What the request asks for must fit; what the model's files say is cut to what is allowed.
function resolveMaxLength(options: Options, asked: Parameters, prefix: number, maxNewTokens: number): number {
  const longest = prefix + maxNewTokens;
  const byNew = options.max_new_tokens === undefined ? undefined : prefix + options.max_new_tokens;
  const maxLength = byNew ?? withPrefix(options.max_length, prefix) ?? prefix + defaultNewTokens;
  if (maxLength > longest && asked.max_new_tokens !== undefined)
    refuse("parameters.max_new_tokens", `at most ${maxNewTokens} for this model`);
  if (maxLength > longest && asked.max_length !== undefined)
    refuse("parameters.max_length", `at most ${longest} for this model`);
  if (maxLength <= prefix) refuse("parameters.max_length", `${maxLength} leaves no room after ${prefix} decoder ids`);
  return Math.min(maxLength, longest);
}

function withPrefix(maxLength: number | undefined, prefix: number): number | undefined {
  return maxLength === transformersMaxLength ? prefix + maxLength : maxLength;
}

function warperOptions(options: Options) {
  return {
    temperature: options.temperature,
    topK: options.top_k,
    topP: options.top_p,
    minP: options.min_p ?? null,
    typicalP: options.typical_p,
    epsilonCutoff: options.epsilon_cutoff,
    etaCutoff: options.eta_cutoff,
  };
}

function processorOptions(options: Options, model: ServedModel) {
  const ids = (field: keyof Parameters & string, value: unknown): number[] => checkIds(field, idList(value), model);
  const biased = options.sequence_bias.map(([sequence, bias]) => ({
    ids: checkIds("sequence_bias", sequence, model),
    bias,
  }));
  return {
    repetitionPenalty: options.repetition_penalty,
    encoderRepetitionPenalty: options.encoder_repetition_penalty,
    noRepeatNgramSize: options.no_repeat_ngram_size,
    encoderNoRepeatNgramSize: options.encoder_no_repeat_ngram_size,
    badWordsIds: options.bad_words_ids.map((word) => checkIds("bad_words_ids", word, model)),
    suppressTokens: ids("suppress_tokens", options.suppress_tokens),
    beginSuppressTokens: ids("begin_suppress_tokens", options.begin_suppress_tokens),
    forcedBosTokenId: ids("forced_bos_token_id", options.forced_bos_token_id)[0] ?? null,
    forcedEosTokenIds: ids("forced_eos_token_id", options.forced_eos_token_id),
    exponentialDecayLengthPenalty: options.exponential_decay_length_penalty ?? null,
    sequenceBias: biased,
  };
}

function checkIds(field: string, ids: readonly number[], model: ServedModel): number[] {
  const { vocabSize } = model.target;
  const wrong = ids.find((id) => id < 0 || id >= vocabSize);
  if (wrong !== undefined)
    refuse(`parameters.${field}`, `id ${wrong} is outside the vocabulary (0 to ${vocabSize - 1})`);
  return [...ids];
}
