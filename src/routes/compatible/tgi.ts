// POST /: what TGI serves there, and Hugging Face's translation and summarization tasks, whose clients post to the bare URL too.
// A task's own options become parameters of /generate; each answer carries the text under all three tasks' names.
import type { FastifyRequest } from "fastify";
import { Type, type Static } from "typebox";
import { refuse } from "../../errors.js";
import { ParametersSchema, withoutNulls, type Parameters } from "../../parameters.js";
import { GenerateRequestSchema, GenerationSchema, type Answer } from "../generate/schemas.js";
import { generate, generateEvents, wantsStream } from "../generate/routes.js";
import type { RouteParts } from "../route-parts.js";
import { errorAnswers, keyed, ref } from "../http/schemas.js";
import { renameFields } from "./translation.js";
import type { App } from "../http/app.js";

const TaskParametersSchema = Type.Object(
  {
    ...ParametersSchema.properties,
    generate_parameters: Type.Optional(
      Type.Unsafe<Parameters>({
        anyOf: [ref(ParametersSchema), { type: "null" }],
        description: "Hugging Face's tasks put the parameters of decoding here.",
      }),
    ),
    truncation: Type.Optional(
      Type.Unsafe<string>({
        type: ["string", "null"],
        enum: ["do_not_truncate", "longest_first", "only_first", null],
        description: "longest_first and only_first cut a text that is longer than the model takes.",
      }),
    ),
    clean_up_tokenization_spaces: Type.Optional(
      Type.Unsafe<null>({ enum: [null], description: "Only null: the model's tokenizer files decide." }),
    ),
  },
  { $id: "TaskParameters", additionalProperties: false },
);
type TaskParameters = Static<typeof TaskParametersSchema>;

const RootRequestSchema = Type.Object(
  {
    ...GenerateRequestSchema.properties,
    parameters: Type.Optional(Type.Unsafe<TaskParameters>({ anyOf: [ref(TaskParametersSchema), { type: "null" }] })),
  },
  {
    $id: "RootRequest",
    additionalProperties: false,
    examples: [{ inputs: "hello", parameters: { truncation: "only_first" } }],
  },
);
type RootBody = Static<typeof RootRequestSchema>;

const TaskAnswerSchema = Type.Object(
  {
    ...GenerationSchema.properties,
    translation_text: Type.String({ description: "generated_text again, for translation clients." }),
    summary_text: Type.String({ description: "generated_text again, for summarization clients." }),
  },
  { $id: "TaskAnswer" },
);

export function rootRoutes(app: App, parts: RouteParts): void {
  for (const schema of [TaskParametersSchema, RootRequestSchema, TaskAnswerSchema]) app.addSchema(schema);
  const json = { schema: { type: "array", items: ref(TaskAnswerSchema) } };
  app.post(
    "/",
    {
      schema: {
        tags: ["compatible"],
        security: keyed,
        operationId: "generateAtRoot",
        summary: "TGI's root; Hugging Face's translation and summarization",
        description: "/generate with TGI's answer: always an array. Streams when `stream` is true.",
        body: ref(RootRequestSchema),
        response: {
          200: {
            description: "An array, one item for each text; or events",
            content: { "application/json": json, ...generateEvents },
          },
          ...errorAnswers(400, 401, 404, 413, 415, 422, 424, 429, 500, 503, 504),
        },
      },
    },
    async (request, reply) => {
      const streams = wantsStream(request);
      const answer = await withSentNames(request.body, () =>
        generate(parts, toGenerateRequest(request), reply, streams),
      );
      return streams ? reply : [answer as Answer | Answer[]].flat().map(withTaskTexts);
    },
  );
}

type Request = Pick<FastifyRequest, "headers" | "log" | "span"> & { readonly body: RootBody };

function toGenerateRequest({ headers, log, span, body }: Request) {
  return { headers, log, span, body: { ...body, parameters: toParameters(withoutNulls(body.parameters ?? {})) } };
}

function toParameters(sent: TaskParameters): Parameters {
  const { generate_parameters, truncation, clean_up_tokenization_spaces: _, ...parameters } = sent;
  const inner = withoutNulls(generate_parameters ?? {});
  const twice = Object.keys(inner).find((name) => Object.hasOwn(parameters, name));
  if (twice !== undefined) refuse(`parameters.generate_parameters.${twice}`, "given in parameters too");
  if (truncation === undefined || truncation === "do_not_truncate") return { ...parameters, ...inner };
  if (parameters.truncate !== undefined) refuse("parameters.truncation", "not together with truncate");
  return { ...parameters, ...inner, truncate: wholeModel };
}

// More than any model takes: cuts at the model's own limit.
const wholeModel = 1_000_000;

function withTaskTexts(answer: Answer) {
  const { details, ...shown } = answer;
  const { generated_text: text } = shown;
  return { ...shown, translation_text: text, summary_text: text, ...(details === undefined ? {} : { details }) };
}

// Errors name a field where the client put it.
async function withSentNames<T>({ parameters }: RootBody, work: () => Promise<T>): Promise<T> {
  const inner = withoutNulls(parameters?.generate_parameters ?? {});
  try {
    return await work();
  } catch (error) {
    throw renameFields(error, (field) => {
      const name = field.replace(/^parameters\./u, "");
      return Object.hasOwn(inner, name.replace(/\[.*$/u, "")) ? `parameters.generate_parameters.${name}` : field;
    });
  }
}
