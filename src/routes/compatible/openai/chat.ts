// POST /v1/chat/completions: the chat becomes one source text, its output the assistant's message.
import type { AppError } from "../../../errors.js";
import type { EndEvent, Output, OutputToken, TokenEvent } from "../../../generation.js";
import type { ChatForm } from "../../../inference/catalog/model-info.js";
import { checkedInputs } from "../../generate/rules.js";
import type { FinishedGeneration, EventContext } from "../../generate/run.js";
import type { Row, StreamingTranslation } from "../translation.js";
import { chatLogprobs, finishReason, SentTexts, sumUsage, type RequestFacts } from "./choices.js";
import { openAiError } from "./error.js";
import { chatToText } from "./messages.js";
import { requestedModel, readOptions, type Options } from "./options.js";
import type { ChatBody } from "./schemas.js";

export class ChatTranslation implements StreamingTranslation {
  readonly model: string | undefined;
  readonly rows: readonly Row[];
  readonly streams: boolean;
  readonly endsWithDone = true;
  readonly #options: Options;
  readonly #facts: RequestFacts;
  readonly #sent = new SentTexts();

  /** Throws AppError "validation", partly in our names of fields. */
  constructor(body: ChatBody, form: ChatForm | null, facts: RequestFacts) {
    const options = readOptions(body);
    const [text = ""] = checkedInputs(chatToText(body.messages, form), 1);
    this.model = requestedModel(body.model);
    this.rows = [{ text, parameters: options.parameters }];
    this.streams = options.streams;
    this.#options = options;
    this.#facts = facts;
  }

  answer(finished: readonly FinishedGeneration[]) {
    const choices = finished
      .flatMap(({ end }) => end.outputs)
      .map((output, index) => {
        const { text, tokens, finishReason: reason } = output;
        const message = { role: "assistant", content: text, refusal: null };
        return { index, logprobs: this.#logprobs(tokens), finish_reason: finishReason(reason), message };
      });
    const { object, choices: listed, ...head } = this.#head("chat.completion", finished[0], choices);
    return { ...head, object, choices: listed, usage: sumUsage(finished) };
  }

  token(event: TokenEvent, context: EventContext) {
    const opening = this.#opening(event.index, context);
    this.#sent.add(event.index, event.text);
    const logprobs = this.#logprobs([event]);
    if (event.text === "" && (logprobs === null || event.special)) return opening;
    const choice = { index: event.index, delta: { content: event.text }, logprobs, finish_reason: null };
    return [...opening, this.#chunk(context, choice)];
  }

  end(event: EndEvent, context: EventContext) {
    return event.outputs.flatMap((output, index) => [
      ...this.#opening(index, context),
      this.#rest(index, output, context),
    ]);
  }

  closing(finished: readonly FinishedGeneration[]) {
    if (!this.#options.includesUsage) return [];
    return [{ ...this.#head("chat.completion.chunk", finished[0], []), usage: sumUsage(finished) }];
  }

  error(error: AppError) {
    return { ...openAiError(error), error_type: error.code };
  }

  #opening(index: number, context: EventContext): readonly object[] {
    if (this.#sent.has(index)) return [];
    this.#sent.add(index, "");
    const delta = { role: "assistant", content: "" };
    return [this.#chunk(context, { index, delta, logprobs: null, finish_reason: null })];
  }

  // Lower beams come at the end, whole.
  #rest(index: number, { text, tokens, finishReason: reason }: Output, context: EventContext) {
    const content = this.#sent.rest(index, text);
    const isWhole = content !== "" && content === text;
    return this.#chunk(context, {
      index,
      delta: content === "" ? {} : { content },
      logprobs: isWhole ? this.#logprobs(tokens) : null,
      finish_reason: finishReason(reason),
    });
  }

  #head(object: string, of: Pick<EventContext, "generation"> | undefined, choices: readonly object[]) {
    return {
      id: `chatcmpl-${this.#facts.id}`,
      object,
      created: this.#facts.now,
      model: of?.generation.prepared.model ?? "",
      system_fingerprint: `seqserve-${this.#facts.version}`,
      choices,
    };
  }

  #chunk(context: EventContext, choice: object) {
    const usage = this.#options.includesUsage ? { usage: null } : {};
    return { ...this.#head("chat.completion.chunk", context, [choice]), ...usage };
  }

  #logprobs(tokens: readonly OutputToken[]) {
    return this.#options.wantsLogprobs ? chatLogprobs(tokens) : null;
  }
}
