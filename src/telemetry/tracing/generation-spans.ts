// The spans of one generation: the whole of it, with OpenTelemetry's names for generative AI, and what the engine did for it. Pure: numbers and
// names, never a text.
//
//   generation ├── queue ──┼── encode ──┼── decode ──┤        times are the engine's own
import type { EndEvent, Prepared } from "../../generation.js";
import type { EngineEnd } from "../../inference/protocol/engine-protocol.js";
import type { Outcome } from "../metrics.js";
import type { Attributes, PastSpan, SpanEnd, SpanStart } from "./spans.js";

export function generationStart(prepared: Prepared): SpanStart {
  return {
    name: `text_completion ${prepared.model}`,
    kind: "internal",
    attributes: {
      "gen_ai.operation.name": "text_completion",
      "gen_ai.provider.name": "seqserve",
      "gen_ai.request.model": prepared.model,
      "gen_ai.output.type": "text",
      "seqserve.generation.id": prepared.id,
      "seqserve.request.priority": prepared.priority,
      ...requestAttributes(prepared),
    },
  };
}

function requestAttributes({ decoding, sourceIds, stop }: Prepared): Attributes {
  const { doSample, numBeams, numReturnSequences } = decoding;
  return {
    "gen_ai.request.max_tokens": decoding.maxLength - decoding.prefix.length,
    "gen_ai.request.choice.count": numReturnSequences > 1 ? numReturnSequences : undefined,
    "seqserve.request.num_beams": numBeams,
    "seqserve.request.stop_strings": stop.length,
    "seqserve.request.source_tokens": sourceIds.length,
    ...(doSample ? samplingAttributes(decoding) : {}),
  };
}

function samplingAttributes({ temperature, topK, topP, seed }: Prepared["decoding"]): Attributes {
  return {
    "gen_ai.request.temperature": temperature,
    "gen_ai.request.top_k": topK,
    "gen_ai.request.top_p": topP,
    "gen_ai.request.seed": seed,
  };
}

/** Its client leaving is no error of the server. */
const failures: ReadonlySet<Outcome> = new Set<Outcome>(["error", "timeout", "rejected"]);

export function generationEnd(prepared: Prepared, outcome: Outcome, end: EndEvent | null): SpanEnd {
  return {
    attributes: {
      "seqserve.outcome": outcome,
      ...(end === null ? {} : responseAttributes(prepared, end)),
    },
    error: failures.has(outcome) ? outcome : null,
  };
}

function responseAttributes({ id, model }: Prepared, { outputs, usage }: EndEvent): Attributes {
  return {
    "gen_ai.response.id": id,
    "gen_ai.response.model": model,
    "gen_ai.response.finish_reasons": outputs.map(({ finishReason }) => finishReason),
    "gen_ai.usage.input_tokens": usage.sourceTokens,
    "gen_ai.usage.output_tokens": usage.generatedTokens,
  };
}

/** What an engine did for a sequence that it was asked to run at `startedAt`. */
export function engineSpans(
  prepared: Prepared,
  { outputs, timings, run }: Extract<EngineEnd, { ok: true }>,
  startedAt: number,
): readonly PastSpan[] {
  const decodeAt = run.endedAt - timings.decodeMs;
  const encodeAt = decodeAt - timings.encodeMs;
  const tokens = outputs.reduce((sum, output) => sum + output.tokens.length, 0);
  return [
    // Two clocks: it never ends before it began.
    pastSpan("queue", [Math.min(startedAt, encodeAt), encodeAt], { "seqserve.queue": "engine" }),
    pastSpan("encode", [encodeAt, decodeAt], {
      "seqserve.batch.sources": run.encodedSources,
      "seqserve.source_tokens": prepared.sourceIds.length,
    }),
    pastSpan("decode", [decodeAt, run.endedAt], {
      "seqserve.batch.rows.mean": Math.round(run.meanRows * 100) / 100,
      "seqserve.batch.rows.max": run.maxRows,
      "seqserve.steps": run.steps,
      "seqserve.generated_tokens": tokens,
      "gen_ai.response.finish_reasons": outputs.map(({ finishReason }) => finishReason),
    }),
  ];
}

export function pastSpan(name: string, [at, endedAt]: readonly [number, number], attributes: Attributes): PastSpan {
  return { name, kind: "internal", at, endedAt, attributes };
}
