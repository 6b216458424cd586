// From OpenAI's options to ours, and the names back for errors. Pure.
import { refuse } from "../../../errors.js";
import { withoutNulls, type Parameters } from "../../../parameters.js";
import { checkedParameters } from "../../generate/rules.js";
import type { ChatBody, CompletionBody } from "./schemas.js";

type Body = CompletionBody | ChatBody;

/** A request's options in both vocabularies. */
export interface Options {
  readonly parameters: Parameters;
  /** Choices per prompt. */
  readonly n: number;
  readonly streams: boolean;
  readonly includesUsage: boolean;
  readonly wantsLogprobs: boolean;
}

/** Names that mean "whatever is served": clients that were given a URL have to send some model. */
export function requestedModel(model: string | null | undefined): string | undefined {
  const isPlaceholder = model == null || model === "dummy" || model === "tgi" || /^https?:\/\//u.test(model);
  if (isPlaceholder) return undefined;
  if (model.length > 256) refuse("model", "must have at most 256 characters, unless it is a URL");
  return model;
}

/** Throws AppError "validation" that names a field, ours or the client's: `clientName` makes it the client's. */
export function readOptions(body: Body): Options {
  const sent = withoutNulls(body);
  for (const rule of rules) rule(sent);
  const { n = 1 } = sent;
  const bestOf = ("best_of" in sent ? sent.best_of : undefined) ?? n;
  const streams = sent.stream === true;
  const parameters = {
    ...passedParameters(sent),
    ...temperatureParameters(sent),
    ...lengthParameters(sent),
    ...logprobParameters(sent),
    num_return_sequences: bestOf,
    ...(bestOf > n ? { logprobs: true } : {}),
    ...biasParameters(sent),
  };
  return {
    parameters: checkedParameters(parameters, { streams }),
    n,
    streams,
    includesUsage: sent.stream_options?.include_usage === true,
    wantsLogprobs: isCount(sent.logprobs) || sent.logprobs === true,
  };
}

/** parameters.max_new_tokens → max_tokens; inputs[2] → prompt[2]. */
export function clientName(body: Body): (field: string) => string {
  const sent: object = withoutNulls(body);
  const has = (name: string) => Object.hasOwn(sent, name);
  const names: Readonly<Record<string, string>> = {
    max_new_tokens: ["max_tokens", "max_completion_tokens"].find(has) ?? "max_new_tokens",
    num_return_sequences: has("best_of") ? "best_of" : "n",
    top_n_tokens: has("top_logprobs") ? "top_logprobs" : "logprobs",
    sequence_bias: has("logit_bias") ? "logit_bias" : "sequence_bias",
  };
  const source = "messages" in body ? "messages" : "prompt";
  return (field) => {
    const [, name = "", rest = ""] = /^parameters\.(\w+)(.*)$/u.exec(field) ?? [];
    if (name !== "") return `${names[name] ?? name}${rest}`;
    return field.replace(/^inputs\b/u, source);
  };
}

// Fields that are not parameters, or become others.
const ownFields: ReadonlySet<string> = new Set(
  "model prompt messages stream stream_options temperature max_tokens max_completion_tokens n best_of logprobs top_logprobs logit_bias user echo suffix tools tool_choice tool_prompt response_format".split(
    " ",
  ),
);

function passedParameters(sent: Body): Parameters {
  return Object.fromEntries(Object.entries(sent).filter(([name]) => !ownFields.has(name))) as Parameters;
}

/** Clients of OpenAI's kind ask for greedy decoding with 0. */
export function temperatureParameters({ temperature, do_sample }: Pick<Body, "temperature" | "do_sample">): Parameters {
  if (temperature === undefined) return {};
  if (temperature > 0) return { temperature };
  if (do_sample === true) refuse("temperature", "must be > 0 with do_sample");
  return { do_sample: false };
}

function lengthParameters(sent: Body): Parameters {
  const { max_tokens, max_new_tokens } = sent;
  const max_completion_tokens = "max_completion_tokens" in sent ? sent.max_completion_tokens : undefined;
  const given = Object.entries({ max_tokens, max_completion_tokens, max_new_tokens }).flatMap(([name, length]) =>
    length === undefined ? [] : [{ name, length }],
  );
  const [first, second] = given;
  if (first === undefined) return {};
  if (second === undefined) return { max_new_tokens: first.length };
  return refuse(first.name, "give only one of max_tokens, max_completion_tokens and max_new_tokens");
}

function logprobParameters(sent: Body): Parameters {
  const { logprobs, top_n_tokens = 0 } = sent;
  const asked = ("top_logprobs" in sent ? sent.top_logprobs : undefined) ?? (isCount(logprobs) ? logprobs : 0);
  const alternatives = Math.max(asked, top_n_tokens);
  return {
    ...(isCount(logprobs) || logprobs === true ? { logprobs: true } : {}),
    ...(alternatives > 0 ? { top_n_tokens: alternatives } : {}),
  };
}

function biasParameters({ logit_bias: biases, sequence_bias = [] }: Body): Parameters {
  const pairs = Object.entries(biases ?? {}).map(([id, bias]): [number[], number] => [[Number(id)], bias]);
  return pairs.length === 0 ? {} : { sequence_bias: [...sequence_bias, ...pairs] };
}

function isCount(value: unknown): value is number {
  return typeof value === "number";
}

type Rule = (sent: Body) => void;

const rules: readonly Rule[] = [refusedFieldsAreOff, bestOfCoversN, topLogprobsNeedLogprobs, streamOptionsNeedStream];

interface Refusal {
  /** Values that change nothing. */
  readonly off: readonly unknown[];
  readonly reason: string;
}

const notInOutput = "not supported: the input is the encoder's, not part of the output";
const noTools = "tools are not supported";

const refusals: Readonly<Record<string, Refusal>> = {
  echo: { off: [false], reason: notInOutput },
  return_full_text: { off: [false], reason: notInOutput },
  suffix: { off: [""], reason: "not supported" },
  decoder_input_details: { off: [false], reason: "not supported here: use /generate" },
  attention: { off: [false], reason: "not supported here: use /generate" },
  tools: { off: [[]], reason: noTools },
  tool_choice: { off: ["none", "auto"], reason: noTools },
  tool_prompt: { off: [""], reason: noTools },
  response_format: { off: [{ type: "text" }], reason: 'only {"type": "text"}: grammars are not supported' },
};

function refusedFieldsAreOff(sent: Body): void {
  for (const [name, value] of Object.entries(sent)) {
    const refusal = Object.hasOwn(refusals, name) ? refusals[name] : undefined;
    const isOff = refusal?.off.some((off) => JSON.stringify(off) === JSON.stringify(value)) ?? true;
    if (!isOff) refuse(name, refusal?.reason ?? "");
  }
}

function bestOfCoversN(sent: Body): void {
  const { n = 1, stream } = sent;
  const bestOf = "best_of" in sent ? sent.best_of : undefined;
  if (bestOf === undefined) return;
  if (bestOf < n) refuse("best_of", `must be >= n (${n}) (got ${bestOf})`);
  if (bestOf > n && stream === true) refuse("best_of", "not with a stream: the best is known at the end");
}

function topLogprobsNeedLogprobs(sent: Body): void {
  const isAsked = "top_logprobs" in sent && sent.top_logprobs !== undefined;
  if (isAsked && sent.logprobs !== true) refuse("top_logprobs", "needs logprobs: true");
}

function streamOptionsNeedStream({ stream, stream_options }: Body): void {
  if (stream_options !== undefined && stream !== true) refuse("stream_options", "only with stream: true");
}
