// POST /v1/completions: prompts are source texts. Chunks of a stream are OpenAI's and TGI's at once, since Hugging Face's JavaScript client reads TGI's fields here.
import type { AppError } from "../../../errors.js";
import type { EndEvent, Output, OutputToken, TokenEvent } from "../../../generation.js";
import { endEvent, tokenEvent } from "../../generate/answer.js";
import { checkedInputs } from "../../generate/rules.js";
import type { FinishedGeneration, EventContext } from "../../generate/run.js";
import type { Row, StreamingTranslation } from "../translation.js";
import { bestOutputs, completionLogprobs, finishReason, SentTexts, sumUsage, type RequestFacts } from "./choices.js";
import { openAiError } from "./error.js";
import { requestedModel, readOptions, type Options } from "./options.js";
import type { CompletionBody } from "./schemas.js";

export class CompletionTranslation implements StreamingTranslation {
  readonly model: string | undefined;
  readonly rows: readonly Row[];
  readonly streams: boolean;
  readonly endsWithDone = true;
  readonly #options: Options;
  readonly #facts: RequestFacts;
  readonly #sent = new SentTexts();

  /** Throws AppError "validation" in our names of fields. */
  constructor(body: CompletionBody, facts: RequestFacts) {
    const options = readOptions(body);
    this.model = requestedModel(body.model);
    this.rows = checkedInputs(body.prompt, facts.maxInputs).map((text) => ({ text, parameters: options.parameters }));
    this.streams = options.streams;
    this.#options = options;
    this.#facts = facts;
  }

  answer(finished: readonly FinishedGeneration[]) {
    const { n } = this.#options;
    const choices = finished.flatMap(({ end }, row) => {
      return bestOutputs(end.outputs, n).map((output, k) => this.#whole(row * n + k, output));
    });
    const { object, choices: listed, ...head } = this.#head(finished[0], choices);
    return { ...head, object, choices: listed, usage: sumUsage(finished) };
  }

  token(event: TokenEvent, context: EventContext) {
    const index = context.row * this.#options.n + event.index;
    const offset = this.#sent.add(index, event.text);
    const choice = { index, text: event.text, logprobs: this.#logprobs([event], offset), finish_reason: null };
    return [
      { ...this.#chunk(context, choice), ...tokenEvent(event, this.#options.parameters, { index: context.index }) },
    ];
  }

  end(event: EndEvent, context: EventContext) {
    return event.outputs.map((output, k) => {
      const chunk = this.#chunk(context, this.#rest(context.row * this.#options.n + k, output));
      return k === 0 ? { ...chunk, ...this.#tgiEnd(event, context) } : chunk;
    });
  }

  closing(finished: readonly FinishedGeneration[]) {
    return this.#options.includesUsage ? [{ ...this.#head(finished[0], []), usage: sumUsage(finished) }] : [];
  }

  error(error: AppError) {
    return { ...openAiError(error), error_type: error.code };
  }

  #head(of: Pick<EventContext, "generation"> | undefined, choices: readonly object[]) {
    return {
      id: `cmpl-${this.#facts.id}`,
      object: "text_completion",
      created: this.#facts.now,
      model: of?.generation.prepared.model ?? "",
      system_fingerprint: `seqserve-${this.#facts.version}`,
      choices,
    };
  }

  #chunk(context: EventContext, choice: object) {
    return { ...this.#head(context, [choice]), ...(this.#options.includesUsage ? { usage: null } : {}) };
  }

  #whole(index: number, { text, tokens, finishReason: reason }: Output) {
    return { index, text, logprobs: this.#logprobs(tokens, 0), finish_reason: finishReason(reason) };
  }

  // Lower beams come at the end, whole.
  #rest(index: number, output: Output) {
    const tokens = this.#sent.has(index) ? [] : output.tokens;
    return { ...this.#whole(index, { ...output, tokens }), text: this.#sent.rest(index, output.text) };
  }

  #logprobs(tokens: readonly OutputToken[], start: number) {
    return this.#options.wantsLogprobs ? completionLogprobs(tokens, start) : null;
  }

  #tgiEnd(event: EndEvent, { generation, index }: EventContext) {
    const { token, generated_text, details } = endEvent(generation, event, this.#options.parameters, { index });
    return { index, token, generated_text, details };
  }
}
