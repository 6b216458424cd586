// Every decoding option a client may send: names of transformers' GenerationConfig (snake_case) plus TGI's, with bounds and meaning.
// One TypeBox schema makes the validation, the types and the API document. `null` means "not given": routes/ drop it before anyone looks.
import { Type, type Static, type TUnsafe } from "typebox";
import { refuse } from "./errors.js";

const maxId = 2 ** 31 - 1;
const maxLength = 65_536;

type Bounds = { minimum?: number; maximum?: number; exclusiveMinimum?: number; exclusiveMaximum?: number };

function number(bounds: Bounds, description: string) {
  return Type.Optional(Type.Unsafe<number>({ type: ["number", "null"], ...bounds, description }));
}
function integer(minimum: number, maximum: number, description: string) {
  return Type.Optional(Type.Unsafe<number>({ type: ["integer", "null"], minimum, maximum, description }));
}
function flag(description: string) {
  return Type.Optional(Type.Unsafe<boolean>({ type: ["boolean", "null"], description }));
}
function text(maxLength: number, description: string) {
  return Type.Optional(Type.Unsafe<string>({ type: ["string", "null"], minLength: 1, maxLength, description }));
}
function choice<T extends string | boolean>(values: readonly T[], description: string) {
  const type = [...new Set(values.map((value) => typeof value)), "null"];
  return Type.Optional(Type.Unsafe<T>({ type, enum: [...values, null], description }));
}

const tokenId = { type: "integer", minimum: 0, maximum: maxId };
const idList = { type: "array", items: tokenId, minItems: 1, maxItems: 1024 };

function ids(description: string) {
  return Type.Optional(Type.Unsafe<number[]>({ ...idList, type: ["array", "null"], minItems: 0, description }));
}
function shaped<T>(shape: object, description: string) {
  return Type.Optional(Type.Unsafe<T>({ ...shape, description }) as TUnsafe<T>);
}

const sampling = {
  do_sample: flag(
    "Sample instead of taking the best token. Any of temperature, top_k, top_p, min_p, typical_p, epsilon_cutoff, eta_cutoff turns it on.",
  ),
  temperature: number({ exclusiveMinimum: 0, maximum: 100 }, "Divides the scores before sampling; 1 changes nothing."),
  top_k: integer(0, 1_000_000, "Sample from the k most probable tokens; 0 = all."),
  top_p: number(
    { minimum: 0, maximum: 1 },
    "Sample from the smallest set of tokens whose probability reaches top_p; 1 = all.",
  ),
  min_p: number({ minimum: 0, maximum: 1 }, "Drop tokens less probable than min_p times the most probable one."),
  typical_p: number(
    { exclusiveMinimum: 0, maximum: 1 },
    "Locally typical sampling up to this probability mass; 1 = off.",
  ),
  epsilon_cutoff: number({ minimum: 0, exclusiveMaximum: 1 }, "Drop tokens less probable than this; 0 = off."),
  eta_cutoff: number({ minimum: 0, exclusiveMaximum: 1 }, "Eta sampling: a cut-off that follows the entropy; 0 = off."),
  seed: integer(0, Number.MAX_SAFE_INTEGER, "Same seed, same text, in any batch. Drawn and reported when absent."),
  best_of: integer(1, 64, "TGI: sample so many outputs, answer with the best by mean log-probability."),
};

const beams = {
  num_beams: integer(1, 64, "Beams of the search; 1 = greedy. The server may allow fewer (MAX_BEAMS)."),
  num_return_sequences: integer(1, 64, "Outputs per input: at most num_beams, or any number when sampling."),
  length_penalty: number(
    { minimum: -100, maximum: 100 },
    "Beam scores are divided by length to this power: > 0 favours long outputs.",
  ),
  early_stopping: choice(
    [true, false, "never"],
    'When beam search stops: at num_beams finished (true), when better is unlikely (false) or impossible ("never").',
  ),
};

const penalties = {
  repetition_penalty: number(
    { exclusiveMinimum: 0, maximum: 100 },
    "Makes tokens of the output less likely to come again; 1 = off.",
  ),
  encoder_repetition_penalty: number(
    { exclusiveMinimum: 0, maximum: 100 },
    "Makes tokens of the input more likely (> 1) or less likely (< 1); 1 = off.",
  ),
  no_repeat_ngram_size: integer(0, 1024, "No n-gram of this size twice in the output; 0 = off."),
  encoder_no_repeat_ngram_size: integer(0, 1024, "No n-gram of this size that is in the input; 0 = off."),
  bad_words_ids: shaped<number[][]>(
    { type: ["array", "null"], items: idList, maxItems: 1024 },
    "Token sequences that may not appear.",
  ),
  suppress_tokens: ids("Tokens that may not appear."),
  begin_suppress_tokens: ids("Tokens that may not come first."),
  sequence_bias: shaped<[number[], number][]>(
    {
      type: ["array", "null"],
      maxItems: 1024,
      items: {
        type: "array",
        minItems: 2,
        maxItems: 2,
        items: { type: ["array", "number"], minItems: 1, maxItems: 1024, items: tokenId },
      },
    },
    "Pairs [[ids], bias]: added to the score of the last id when those before it are there, as in [[[12, 7], -10.0]].",
  ),
  exponential_decay_length_penalty: shaped<[number, number]>(
    { type: ["array", "null"], items: { type: "number", minimum: 0, maximum: 1_000_000 }, minItems: 2, maxItems: 2 },
    "[start, factor]: from `start` generated tokens on the end token grows ever more likely.",
  ),
};

const lengths = {
  max_new_tokens: integer(1, maxLength, "Tokens generated at most. The server may allow fewer (MAX_NEW_TOKENS)."),
  min_new_tokens: integer(0, maxLength, "Tokens generated before the end token is allowed."),
  max_length: integer(
    1,
    maxLength,
    "Decoder ids at most, the start token and a forced prefix included. max_new_tokens wins over it.",
  ),
  min_length: integer(
    0,
    maxLength,
    "Decoder ids before the end token is allowed, the start token and a forced prefix included.",
  ),
  stop: shaped<string | string[]>(
    {
      type: ["string", "array", "null"],
      minLength: 1,
      maxLength: 256,
      items: { type: "string", minLength: 1, maxLength: 256 },
      maxItems: 16,
    },
    "Ends the text before the first of these strings.",
  ),
  truncate: integer(1, 1_000_000, "Keep so many source tokens at most; longer inputs are cut instead of refused."),
  split: choice(
    ["sentences"],
    "What becomes of a text that is longer than the model takes: its sentences are decoded side by side and joined with the white space that was between them. " +
      "Lengths then count for each sentence. Not with truncate, stop, several outputs, decoder_input_ids or attention.",
  ),
  timeout_ms: integer(
    1,
    86_400_000,
    'Milliseconds until the deadline: 504 before the first token, afterwards the partial text with finish_reason "deadline".',
  ),
};

const prefix = {
  task: text(
    64,
    "One of the model's tasks (GET /models): its input prefix and defaults, from task_specific_params of config.json.",
  ),
  src_lang: text(64, "Language of the input, as the model or ISO writes it."),
  tgt_lang: text(64, "Language of the output."),
  forced_bos_token_id: integer(
    0,
    maxId,
    "First token of the output; languages are chosen this way in mBART, M2M100 and NLLB.",
  ),
  forced_eos_token_id: shaped<number | number[]>(
    { ...idList, type: ["integer", "array", "null"], minimum: 0, maximum: maxId },
    "Token, or tokens, forced at the maximum length.",
  ),
  decoder_input_ids: shaped<number[] | [number[]]>(
    {
      type: ["array", "null"],
      minItems: 1,
      maxItems: 4096,
      items: { ...idList, ...tokenId, maxItems: 4096, type: ["integer", "array"] },
    },
    "Decoder ids to begin with, start token included: [ids], or transformers' one row [[ids]].",
  ),
};

const answer = {
  details: flag("Give `details`: every token with its log-probability, the seed and the finish reason."),
  logprobs: flag("Give log-probabilities with the tokens; implies details."),
  top_n_tokens: integer(0, 20, "Alternatives given with each token; implies details."),
  attention: flag(
    "Give each token's weights over the source tokens; implies details. Absent: with details, where the model has them; false: never.",
  ),
  decoder_input_details: flag(
    "Give the decoder ids before the first token as details.prefill; implies details, not with streams.",
  ),
  return_full_text: flag("TGI: put the input before generated_text. `outputs` never holds it."),
  on_disconnect: choice(
    ["cancel", "continue"],
    "What happens when the client leaves: stop at once (default), or generate to the end, to be read on at /generations/{id}.",
  ),
};

// Options of transformers and TGI that this server knows and does not do. Each is accepted with the value that means "off"
// (clients send those by habit) and refused by name with any other: never silently ignored.

interface Refusal {
  /** The values that change nothing; null is always one. */
  readonly off: readonly (number | boolean)[];
  /** What the client reads. */
  readonly reason: string;
}

const refusals = {
  watermark: { off: [false], reason: "watermarks are not supported" },
  grammar: { off: [], reason: "grammars are not supported" },
  adapter_id: { off: [], reason: "adapters are not supported: export the merged model and name it with `model`" },
  frequency_penalty: { off: [0], reason: "not supported: use repetition_penalty or no_repeat_ngram_size" },
  presence_penalty: { off: [0], reason: "not supported: use repetition_penalty or no_repeat_ngram_size" },
  num_beam_groups: { off: [1], reason: "diverse beam search is not supported" },
  diversity_penalty: { off: [0], reason: "diverse beam search is not supported" },
  penalty_alpha: { off: [0], reason: "contrastive search is not supported" },
  guidance_scale: { off: [1], reason: "classifier-free guidance is not supported" },
  constraints: { off: [], reason: "constrained beam search is not supported" },
  force_words_ids: { off: [], reason: "constrained beam search is not supported" },
  assistant_model: { off: [], reason: "assisted generation is not supported" },
  prompt_lookup_num_tokens: { off: [0], reason: "assisted generation is not supported" },
  assistant_early_exit: { off: [0], reason: "assisted generation is not supported" },
  dola_layers: { off: [], reason: "DoLa decoding is not supported" },
  renormalize_logits: { off: [false], reason: "not supported: scores are not normalised again after the processors" },
  remove_invalid_values: {
    off: [false],
    reason: "not supported: a model that gives NaN ends the request with an error",
  },
  use_cache: { off: [true], reason: "the cache is always used" },
  max_time: { off: [], reason: "not supported: use timeout_ms (milliseconds)" },
  stop_strings: { off: [], reason: "not supported: use stop" },
  stop_sequences: { off: [], reason: "not supported: use stop" },
  eos_token_id: { off: [], reason: "the model decides its end tokens" },
  pad_token_id: { off: [], reason: "the model decides its padding" },
  decoder_start_token_id: { off: [], reason: "not supported: begin with decoder_input_ids" },
} as const satisfies Record<string, Refusal>;

type RefusedName = keyof typeof refusals;

/** Why a value of this option is refused, or null when the option is not one of these. */
export function refusalReason(name: string): string | null {
  return Object.hasOwn(refusals, name) ? refusals[name as RefusedName].reason : null;
}

function schemaOf({ off, reason }: Refusal) {
  return Type.Optional(
    Type.Unsafe<boolean | number>({ enum: [...off, null], description: `Only its "off" value: ${reason}.` }),
  );
}

type RefusedSchema = ReturnType<typeof schemaOf>;

/** Properties for ParametersSchema. */
const refused = Object.fromEntries(
  Object.entries(refusals).map(([name, refusal]) => [name, schemaOf(refusal)]),
) as Record<RefusedName, RefusedSchema>;

/** Every option of a generation. Unknown names are refused. */
export const ParametersSchema = Type.Object(
  { ...sampling, ...beams, ...penalties, ...lengths, ...prefix, ...answer, ...refused },
  {
    $id: "Parameters",
    additionalProperties: false,
    description: "Decoding options. Absent ones come from the model's generation_config.json and seqserve.json.",
  },
);
export type Parameters = Static<typeof ParametersSchema>;

/** Options that only mean something when sampling. */
export const samplingNames = [
  "temperature",
  "top_k",
  "top_p",
  "min_p",
  "typical_p",
  "epsilon_cutoff",
  "eta_cutoff",
] as const satisfies readonly (keyof Parameters)[];

/** Whether these options sample. As in TGI, naming a sampling parameter asks for it. */
export function isSampling(given: Parameters): boolean {
  return given.do_sample ?? samplingNames.some((name) => given[name] !== undefined);
}

/** null means "not given", at any place that takes a value. */
export function withoutNulls<T extends object>(values: T): T {
  const given = Object.entries(values).filter(([, value]) => value !== null && value !== undefined);
  return Object.fromEntries(given) as T;
}

// Rules that hold for what a request says, and again once the model's defaults are filled in.

/** Throws AppError "validation" for beams that sample; `remedy` says what to set instead. */
export function refuseSampledBeams(numBeams: number, doSample: boolean, remedy: string): void {
  if (numBeams > 1 && doSample) refuse("parameters.num_beams", `beam search with sampling is not supported: ${remedy}`);
}

/** Throws AppError "validation" for more outputs than beam search has. */
export function refuseMoreOutputsThanBeams(
  name: "num_return_sequences" | "best_of",
  outputs: number,
  numBeams: number,
  doSample: boolean,
): void {
  if (doSample || outputs <= numBeams) return;
  refuse(`parameters.${name}`, `must be <= num_beams (${numBeams}) unless sampling (got ${outputs})`);
}
