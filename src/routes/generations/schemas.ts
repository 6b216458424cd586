// Shapes of /generations: starting a generation, its state, and pages of them.
import { Type, type Static } from "typebox";
import { ParametersSchema, type Parameters } from "../../parameters.js";
import { GenerationSchema, priority, type Answer } from "../generate/schemas.js";
import { ErrorSchema, modelName, nullable, ref, type ErrorBody } from "../http/schemas.js";

const exampleId = "5f2b7c9de0a14b3f8c6d1e2f3a4b5c6d";
const exampleSummary = {
  id: exampleId,
  status: "queued",
  model: "itn-en",
  created_at: "2026-11-26T15:04:05.000Z",
  priority: 5,
  last_event_id: 0,
};

export const StartRequestSchema = Type.Object(
  {
    inputs: Type.String({ minLength: 1, description: "One text; several are several requests." }),
    model: Type.Optional(modelName),
    parameters: Type.Optional(Type.Unsafe<Parameters>({ anyOf: [ref(ParametersSchema), { type: "null" }] })),
    priority,
    webhook_url: Type.Optional(
      Type.Unsafe<string>({
        type: ["string", "null"],
        minLength: 1,
        maxLength: 2048,
        description:
          "Called once the generation has ended, with what GET /generations/{id} answers, signed as Standard Webhooks says. " +
          "http or https to a public address; needs WEBHOOK_SECRET on the server.",
      }),
    ),
  },
  {
    $id: "StartRequest",
    additionalProperties: false,
    examples: [{ inputs: "the meeting is at half past three", model: "itn-en", priority: 3 }],
  },
);
export type StartBody = Static<typeof StartRequestSchema>;

const statusNames = ["queued", "running", "succeeded", "failed", "cancelled"] as const;
export type StatusName = (typeof statusNames)[number];

const summary = {
  id: Type.String({ description: "32 hexadecimal digits." }),
  status: Type.Unsafe<StatusName>({ type: "string", enum: [...statusNames] }),
  model: Type.String(),
  created_at: Type.String({ format: "date-time" }),
  priority: Type.Integer({ minimum: 1, maximum: 10 }),
  last_event_id: Type.Integer({ minimum: 0, description: "Number of the last event so far." }),
};

export const SummarySchema = Type.Object(summary, { $id: "GenerationSummary", examples: [exampleSummary] });
export type Summary = Static<typeof SummarySchema>;

export const StateSchema = Type.Object(
  {
    ...summary,
    result: Type.Unsafe<Answer | null>({
      anyOf: [ref(GenerationSchema), { type: "null" }],
      description: "What POST /generate would have answered; null unless it succeeded.",
    }),
    error: Type.Unsafe<ErrorBody | null>({
      anyOf: [ref(ErrorSchema), { type: "null" }],
      description: "Why there is no result; null unless it failed or was cancelled.",
    }),
  },
  {
    $id: "GenerationState",
    examples: [
      {
        ...exampleSummary,
        status: "cancelled",
        last_event_id: 4,
        result: null,
        error: { error: "the generation was cancelled", error_type: "cancelled" },
      },
    ],
  },
);
export type StateBody = Static<typeof StateSchema>;

export const PageSchema = Type.Object(
  {
    generations: Type.Array(ref(SummarySchema), { description: "Newest first." }),
    next: nullable("string", "Send it as `before` for the next page; null on the last one."),
  },
  { $id: "GenerationPage", examples: [{ generations: [exampleSummary], next: null }] },
);

export const ReconnectEventSchema = Type.Object(
  {},
  {
    $id: "ReconnectEvent",
    additionalProperties: false,
    description: "`event: reconnect`: the server is going away; come back with Last-Event-ID, to it or another.",
  },
);

/** Routes without a query refuse each field of one by name. */
export const noQuery = Type.Object({}, { additionalProperties: false });

export const idParam = Type.Object({ id: Type.String({ description: "A generation's id.", examples: [exampleId] }) });

export const generationsSchemas = [StartRequestSchema, SummarySchema, StateSchema, PageSchema, ReconnectEventSchema];
