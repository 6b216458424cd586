// From checked texts to prepared generations: one for each text, with one Prepared for each sentence where the text had to be split.
import { AppError } from "../../errors.js";
import type { GenerationRequest, Prepared, TraceHeaders } from "../../generation.js";
import type { Inference } from "../../inference/inference.js";
import type { Parameters } from "../../parameters.js";
import { splitSentences, type Sentence } from "./sentences.js";

/** One text and what is asked of it. */
export interface GenerateRequest {
  readonly text: string;
  /** Where the text stood in the request, for errors: "inputs", or "inputs[2]" where an array was sent. */
  readonly field: string;
  readonly model: string | undefined;
  readonly parameters: Parameters;
  readonly priority?: number | undefined;
  /** It is answered with one JSON text. */
  readonly readsWhole?: boolean;
  readonly trace: TraceHeaders | undefined;
}

/** One text and what became of it. */
export interface Generation {
  readonly text: string;
  readonly prepared: Prepared;
  /** Where the text was split: the sentences after the one in `prepared`, which belong to the same answer. */
  readonly rest?: readonly PreparedSentence[];
}

export interface PreparedSentence {
  /** White space before it. */
  readonly before: string;
  readonly prepared: Prepared;
}

/** Names a text's place in a request. */
export function inputField(isList: boolean, i: number): string {
  return isList ? `inputs[${i}]` : "inputs";
}

/** Throws AppError "validation" naming the request's field. */
export async function prepareGeneration(inference: Inference, request: GenerateRequest): Promise<Generation> {
  try {
    return await prepareText(inference, request);
  } catch (error) {
    throw error instanceof AppError ? error.renamed((field) => (field === "inputs" ? request.field : field)) : error;
  }
}

async function prepareText(inference: Inference, request: GenerateRequest): Promise<Generation> {
  const { text, parameters } = request;
  const whole = { ...commonOf(request), inputs: text, parameters };
  try {
    return { text, prepared: await inference.prepare(whole) };
  } catch (error) {
    const sentences = parameters.split !== undefined && isAboutText(error) ? splitSentences(text) : [];
    if (sentences.length < 2) throw error;
    return prepareSentences(inference, whole, sentences);
  }
}

// One seed for all: what the first drew, so that the seed that is reported repeats the whole text.
async function prepareSentences(
  inference: Inference,
  whole: GenerationRequest,
  [first, ...others]: readonly Sentence[],
): Promise<Generation> {
  const single = { ...whole, parameters: { ...whole.parameters, num_return_sequences: 1 } };
  const prepared = await prepareSentence(inference, { ...single, inputs: first?.text ?? "" }, 0);
  const seeded = { ...single, parameters: { ...single.parameters, seed: prepared.decoding.seed } };
  const rest = others.map(async ({ before, text }, i) => {
    return { before, prepared: await prepareSentence(inference, { ...seeded, inputs: text }, i + 1) };
  });
  return { text: whole.inputs, prepared, rest: await Promise.all(rest) };
}

async function prepareSentence(inference: Inference, request: GenerationRequest, i: number): Promise<Prepared> {
  try {
    return await inference.prepare(request);
  } catch (error) {
    if (!isAboutText(error)) throw error;
    // Without its advice: what would help the whole text is no help for one sentence.
    throw new AppError("validation", `sentence ${i + 1}: ${error.reason}`, { field: "inputs", cause: error });
  }
}

function isAboutText(error: unknown): error is AppError {
  return error instanceof AppError && error.kind === "validation" && error.field === "inputs";
}

/** What the whole text and its sentences have in common. */
function commonOf({ model, priority, readsWhole = false, trace }: GenerateRequest) {
  return {
    ...(model === undefined ? {} : { model }),
    ...(priority === undefined ? {} : { priority }),
    ...(trace === undefined ? {} : { trace }),
    readsWhole,
  };
}
