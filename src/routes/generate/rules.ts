// Rules between fields that a schema cannot say and no model is needed for. Pure. What a model decides is checked in inference.prepare.
import { refuse } from "../../errors.js";
import {
  isSampling,
  refuseMoreOutputsThanBeams,
  refuseSampledBeams,
  samplingNames,
  withoutNulls,
  type Parameters,
} from "../../parameters.js";

export interface RequestContext {
  /** The answer is an event stream. */
  readonly streams: boolean;
}

/** Checks the texts of a request; throws AppError "validation" naming `inputs` or `inputs[i]`. */
export function checkedInputs(inputs: string | readonly string[], maxInputs: number): readonly string[] {
  const texts = typeof inputs === "string" ? [inputs] : inputs;
  if (texts.length > maxInputs) refuse("inputs", `at most ${maxInputs} texts in one request (got ${texts.length})`);
  texts.forEach((text, i) => requireWellFormed(typeof inputs === "string" ? "inputs" : `inputs[${i}]`, text));
  return texts;
}

/** Parameters without nulls, with what they imply spelt out; throws AppError "validation" naming the field. */
export function checkedParameters(sent: Parameters | undefined, context: RequestContext): Parameters {
  const parameters = withoutNulls(sent ?? {});
  for (const rule of rules) rule(parameters, context);
  return { ...parameters, ...impliedParameters(parameters) };
}

/** Whether the answer needs `details`: asked for, or for something that is only there. */
export function wantsDetails(parameters: Parameters): boolean {
  const { details, logprobs, attention, decoder_input_details, top_n_tokens = 0 } = parameters;
  return (
    details === true || logprobs === true || attention === true || decoder_input_details === true || top_n_tokens > 0
  );
}

type Rule = (parameters: Parameters, context: RequestContext) => void;

const rules: readonly Rule[] = [
  samplingOptionsNeedSampling,
  beamsOrSampling,
  returnedSequencesFitBeams,
  bestOfSamples,
  minimaFitMaxima,
  decoderInputIdsAreOneRow,
  biasesArePairs,
  decayIsStartAndFactor,
  textIsWellFormed,
  streamsCannot,
  splitTextsAreWhole,
];

// The values that change nothing: clients send them by habit.
const neutralValues: Readonly<Record<(typeof samplingNames)[number], number>> = {
  temperature: 1,
  top_k: 0,
  top_p: 1,
  min_p: 0,
  typical_p: 1,
  epsilon_cutoff: 0,
  eta_cutoff: 0,
};

function samplingOptionsNeedSampling(parameters: Parameters): void {
  if (parameters.do_sample !== false) return;
  const name = samplingNames.find((option) => (parameters[option] ?? neutralValues[option]) !== neutralValues[option]);
  if (name !== undefined) refuse(`parameters.${name}`, "only means something when sampling, but do_sample is false");
}

function beamsOrSampling(parameters: Parameters): void {
  refuseSampledBeams(parameters.num_beams ?? 1, isSampling(parameters), "num_beams must be 1 when sampling");
}

function returnedSequencesFitBeams(parameters: Parameters): void {
  const { num_return_sequences: returned = 1, num_beams: beams } = parameters;
  if (beams === undefined) return;
  refuseMoreOutputsThanBeams("num_return_sequences", returned, beams, isSampling(parameters));
}

function bestOfSamples(parameters: Parameters, { streams }: RequestContext): void {
  if ((parameters.best_of ?? 1) === 1) return;
  if (!isSampling(parameters)) refuse("parameters.best_of", "needs sampling: set do_sample");
  if (streams) refuse("parameters.best_of", "not with a stream: the best is only known at the end");
  if (parameters.num_return_sequences !== undefined) {
    refuse("parameters.best_of", "not together with num_return_sequences: both say how many outputs to sample");
  }
}

function minimaFitMaxima({ min_new_tokens, max_new_tokens, min_length, max_length }: Parameters): void {
  if ((min_new_tokens ?? 0) > (max_new_tokens ?? Infinity)) {
    refuse("parameters.min_new_tokens", `must be <= max_new_tokens (${max_new_tokens}) (got ${min_new_tokens})`);
  }
  if ((min_length ?? 0) > (max_length ?? Infinity)) {
    refuse("parameters.min_length", `must be <= max_length (${max_length}) (got ${min_length})`);
  }
}

function decoderInputIdsAreOneRow({ decoder_input_ids: ids }: Parameters): void {
  const rows = ids?.filter((item) => typeof item !== "number").length ?? 0;
  if (rows === 0 || (rows === 1 && ids?.length === 1)) return;
  refuse("parameters.decoder_input_ids", "must be ids, or exactly one row of ids: [[ids]]");
}

function biasesArePairs({ sequence_bias: biases }: Parameters): void {
  biases?.forEach(([ids, bias]: readonly unknown[], i) => {
    if (Array.isArray(ids) && typeof bias === "number") return;
    refuse(`parameters.sequence_bias[${i}]`, "must be a pair [[ids], bias], as in [[12, 7], -10.0]");
  });
}

function decayIsStartAndFactor({ exponential_decay_length_penalty: decay }: Parameters): void {
  if (decay === undefined || Number.isInteger(decay[0])) return;
  refuse("parameters.exponential_decay_length_penalty", "must be [start, factor] with a whole number as start");
}

function textIsWellFormed({ stop, src_lang, tgt_lang }: Parameters): void {
  const stops = typeof stop === "string" ? [stop] : (stop ?? []);
  for (const text of stops) requireWellFormed("parameters.stop", text);
  requireWellFormed("parameters.src_lang", src_lang ?? "");
  requireWellFormed("parameters.tgt_lang", tgt_lang ?? "");
}

function streamsCannot({ decoder_input_details }: Parameters, { streams }: RequestContext): void {
  if (streams && decoder_input_details === true) refuse("parameters.decoder_input_details", "not with a stream");
}

// What is about one source, one decoder or one text would mean something else for each sentence.
function splitTextsAreWhole(parameters: Parameters): void {
  if (parameters.split === undefined) return;
  const { num_return_sequences: returned = 1, best_of: bestOf = 1, stop = [] } = parameters;
  const clashes: Readonly<Record<string, boolean>> = {
    truncate: parameters.truncate !== undefined,
    stop: stop.length > 0,
    num_return_sequences: returned > 1,
    best_of: bestOf > 1,
    decoder_input_ids: parameters.decoder_input_ids !== undefined,
    decoder_input_details: parameters.decoder_input_details === true,
    attention: parameters.attention === true,
    // A log is one generation's; sentences are several.
    'on_disconnect "continue"': parameters.on_disconnect === "continue",
  };
  const name = Object.keys(clashes).find((option) => clashes[option] === true);
  if (name !== undefined) refuse("parameters.split", `not together with ${name}`);
}

function impliedParameters(parameters: Parameters): Partial<Parameters> {
  const bestOf = parameters.best_of ?? 1;
  return {
    ...(isSampling(parameters) ? { do_sample: true } : {}),
    ...(bestOf > 1 ? { num_return_sequences: bestOf, logprobs: true } : {}),
  };
}

// \p{Surrogate} under the u flag matches only halves without their other half.
function requireWellFormed(field: string, text: string): void {
  if (/\p{Surrogate}/u.test(text)) refuse(field, "holds half a surrogate pair, which is no character");
}
