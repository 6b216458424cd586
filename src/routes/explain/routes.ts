// POST /explain: attention, occlusion, entropy and alternatives of one input and its output.
//
//   prepare ─▶ generate (unless an output is given) ─▶ score it with the whole source, and without each source token ─▶ compare
import type { FastifyReply, FastifyRequest } from "fastify";
import { AppError } from "../../errors.js";
import type { Output, Prepared, TopToken } from "../../generation.js";
import type { Scoring } from "../../inference/request/scoring.js";
import type { Parameters } from "../../parameters.js";
import { limitTarget, checkedExplain, checkTarget, hasOutput } from "./rules.js";
import { ExplainRequestSchema, ExplanationSchema, type ExplainBody, type Explanation } from "./schemas.js";
import type { OpenRequest } from "../http/lifetime.js";
import type { RouteParts } from "../route-parts.js";
import { readToEnd } from "../generate/run.js";
import { described, errorAnswers, keyed, ref } from "../http/schemas.js";
import type { App } from "../http/app.js";

const errors = errorAnswers(400, 401, 404, 413, 415, 422, 424, 429, 500, 503, 504);

export function explainRoute(app: App, parts: RouteParts): void {
  app.post(
    "/explain",
    {
      schema: {
        tags: ["generate"],
        security: keyed,
        operationId: "explain",
        summary: "Look inside one answer",
        description:
          "Attention, occlusion, and per token its probability, entropy and alternatives. See docs/explain.md.",
        body: ref(ExplainRequestSchema),
        response: { 200: described(ref(ExplanationSchema), "What speaks for each token"), ...errors },
      },
    },
    (request, reply) => explain(parts, request, reply),
  );
}

interface ExplainContext {
  readonly parts: RouteParts;
  readonly open: OpenRequest;
}

type Request = Pick<FastifyRequest, "span"> & { readonly body: ExplainBody };

async function explain(parts: RouteParts, { body, span }: Request, reply: FastifyReply): Promise<Explanation> {
  const parameters = checkedExplain(body);
  const open = parts.lifetime.begin(reply.raw, false);
  try {
    const { inputs, model } = body;
    const asked = { inputs, parameters: { ...parameters, details: true }, trace: span?.headers };
    const prepared = await parts.inference.prepare({ ...asked, ...(model == null ? {} : { model }) });
    return await explainPrepared({ parts, open }, prepared, body, parameters);
  } catch (error) {
    open.abort(error);
    throw error;
  } finally {
    open.end();
  }
}

async function explainPrepared(
  run: ExplainContext,
  prepared: Prepared,
  body: ExplainBody,
  parameters: Parameters,
): Promise<Explanation> {
  const { inference, config } = run.parts;
  const generates = limitTarget(prepared, parameters);
  const output = hasOutput(body) ? (body.output ?? "") : (await readOutput(run, generates)).ids;
  const asked = await inference.scoring(prepared, output);
  checkTarget(asked.whole.scored?.length ?? 0, prepared.sourceIds.length);
  const whole = await readOutput(run, asked.whole);
  const others = body.occlusion === false ? null : await scoreWithoutTokens(run, asked, config.maxInputs);
  const given = hasOutput(body) ? whole.ids.length : prepared.decoding.prefix.length - 1;
  const piece = (id: number) => inference.detokenize(prepared.model, [id], false);
  return explanationBody(asked, whole, others, (id, at) => ({ piece: piece(id), given: at < given }));
}

type Labels = (id: number, at: number) => { readonly piece: string; readonly given: boolean };

function explanationBody(
  { source, whole: asked }: Scoring,
  whole: Output,
  others: OccludedOutputs | null,
  labels: Labels,
): Explanation {
  const { tokens } = whole;
  return {
    generated_text: whole.text,
    source: [...source],
    tokens: tokens.map(({ id, text, special, logprob = 0, entropy = 0, top = [] }, at) => {
      const { piece, given } = labels(id, at);
      return { id, text, piece, special, given, logprob, entropy, top: top.map(alternativeBody) };
    }),
    score: whole.score,
    attention: asked.wantAttention ? tokens.map(({ attention = [] }) => [...attention]) : null,
    occlusion: others && tokens.map((token, at) => others.map((other) => logprobDrop(token, other?.tokens[at]))),
    model: asked.model,
    usage: {
      source_tokens: source.length,
      generated_tokens: tokens.length,
      scored_outputs: 1 + (others?.filter((other) => other !== null).length ?? 0),
    },
  };
}

function alternativeBody({ id, text, logprob }: TopToken) {
  return { id, text, logprob };
}

type OccludedOutputs = readonly (Output | null)[];
type Scored = { readonly logprob?: number };

function logprobDrop({ logprob = 0 }: Scored, other: Scored | undefined): number | null {
  return other?.logprob === undefined ? null : logprob - other.logprob;
}

// A few at a time: as many as one request may have texts.
async function scoreWithoutTokens(run: ExplainContext, { without }: Scoring, atOnce: number): Promise<OccludedOutputs> {
  const outputs = new Map<Prepared, Output>();
  const all = without.filter((prepared) => prepared !== null);
  for (let at = 0; at < all.length; at += atOnce) {
    const some = all.slice(at, at + atOnce);
    const ends = await readOutputs(run, some);
    some.forEach((prepared, i) => outputs.set(prepared, ends[i] ?? throwMissing()));
  }
  return without.map((prepared) => (prepared === null ? null : (outputs.get(prepared) ?? null)));
}

async function readOutput(run: ExplainContext, prepared: Prepared): Promise<Output> {
  const [output = throwMissing()] = await readOutputs(run, [prepared]);
  return output;
}

async function readOutputs({ parts: { queue }, open }: ExplainContext, all: readonly Prepared[]): Promise<Output[]> {
  const generations = all.map((prepared) => ({ text: "", prepared }));
  return (await readToEnd({ queue, generations, open })).map(({ end }) => completeOutput(end));
}

function completeOutput({ outputs: [output = throwMissing()] }: { readonly outputs: readonly Output[] }): Output {
  if (output.finishReason === "deadline") throw new AppError("deadline", "the deadline passed before all was scored");
  return output;
}

function throwMissing(): never {
  throw new AppError("internal", "a generation ended without an output");
}
