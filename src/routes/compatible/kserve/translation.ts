// Triton's generate request as one row, and its answer: text_output whole, or piece by piece.
import { refuse, type AppError } from "../../../errors.js";
import type { EndEvent, Output, OutputToken, TokenEvent } from "../../../generation.js";
import type { ModelInfo } from "../../../inference/catalog/model-info.js";
import { withoutNulls, type Parameters } from "../../../parameters.js";
import { errorBody } from "../../http/errors.js";
import { listedToken, tokenBody } from "../../generate/answer.js";
import { bestOutputs } from "../openai/choices.js";
import { temperatureParameters } from "../openai/options.js";
import { checkedInputs, checkedParameters, wantsDetails } from "../../generate/rules.js";
import type { FinishedGeneration, EventContext } from "../../generate/run.js";
import type { Row, StreamingTranslation } from "../translation.js";
import { modelVersion } from "./models.js";
import type { KserveBody } from "./schemas.js";

export class KserveTranslation implements StreamingTranslation {
  readonly model: string;
  readonly rows: readonly Row[];
  readonly streams: boolean;
  readonly endsWithDone = false;
  readonly #head: { readonly id?: string; readonly model_name: string; readonly model_version: string };
  readonly #parameters: Parameters;
  #sent = 0;

  /** Throws AppError "validation", partly in our names of fields. */
  constructor(body: KserveBody, model: ModelInfo, streams: boolean) {
    const isOther = body.stream != null && body.stream !== streams;
    if (isOther)
      refuse("stream", streams ? "this path always streams" : "this path never streams: use generate_stream");
    const parameters = checkedParameters(toParameters(withoutNulls(body.parameters ?? {})), { streams });
    const [text = ""] = checkedInputs(body.text_input, 1);
    const id = body.id == null ? {} : { id: body.id };
    this.model = model.name;
    this.rows = [{ text, parameters }];
    this.streams = streams;
    this.#parameters = parameters;
    this.#head = { ...id, model_name: model.name, model_version: modelVersion(model) };
  }

  answer([finished]: readonly FinishedGeneration[]) {
    const [output] = bestOutputs(finished?.end.outputs ?? [], 1);
    const details = this.#details(finished, output, {
      logprobs: output?.tokens.map(listedToken),
      ...topTokens(output?.tokens),
    });
    const { id, ...model } = this.#head;
    return { ...model, text_output: output?.text ?? "", ...(id === undefined ? {} : { id }), ...details };
  }

  token(event: TokenEvent) {
    this.#sent += event.text.length;
    const details = wantsDetails(this.#parameters)
      ? { details: { token: tokenBody(event), ...topTokens([event]) } }
      : {};
    return [{ ...this.#head, text_output: event.text, done: false, ...details }];
  }

  end(end: EndEvent, { generation }: EventContext) {
    const [output] = end.outputs;
    const rest = output?.text.slice(this.#sent) ?? "";
    return [{ ...this.#head, text_output: rest, done: true, ...this.#details({ generation, end }, output, {}) }];
  }

  closing() {
    return [];
  }

  error(error: AppError) {
    return errorBody(error);
  }

  #details(finished: FinishedGeneration | undefined, output: Output | undefined, more: object) {
    if (!wantsDetails(this.#parameters) || finished === undefined || output === undefined) return {};
    const { doSample, seed } = finished.generation.prepared.decoding;
    const { finishReason, tokens } = output;
    const facts = { finish_reason: finishReason, generated_tokens: tokens.length, seed: doSample ? seed : null };
    return { details: { ...facts, ...more } };
  }
}

type Sent = NonNullable<KserveBody["parameters"]>;

function toParameters(sent: Sent): Parameters {
  const { max_tokens, temperature, exclude_input_in_output: _, ...parameters } = sent;
  if (max_tokens !== undefined && parameters.max_new_tokens !== undefined) {
    refuse("parameters.max_tokens", "not together with max_new_tokens");
  }
  refuseSeveralTexts(parameters);
  return {
    ...parameters,
    ...((parameters.best_of ?? 1) > 1 ? {} : { num_return_sequences: 1 }),
    ...(temperature === undefined ? {} : temperatureParameters({ temperature, ...parameters })),
    ...(max_tokens === undefined ? {} : { max_new_tokens: max_tokens }),
  };
}

function refuseSeveralTexts({ num_return_sequences: returned = 1, ...parameters }: Parameters): void {
  if (returned > 1) refuse("parameters.num_return_sequences", "this surface answers with one text: use /generate");
  for (const name of ["attention", "decoder_input_details", "return_full_text"] as const) {
    if (parameters[name] === true) refuse(`parameters.${name}`, "not supported here: use /generate");
  }
}

function topTokens(tokens: readonly OutputToken[] = []) {
  const has = tokens.some(({ top }) => top !== undefined);
  return has ? { top_tokens: tokens.map(({ top }) => top ?? []) } : {};
}
