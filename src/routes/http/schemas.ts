// Shapes that several routes share, by name: they become components of the OpenAPI document.
import { Type, type Static, type TSchema } from "typebox";
import { errorKinds } from "../../errors.js";

/** A reference to a named schema that keeps its type. */
export function ref<T extends TSchema & { $id?: string }>(schema: T) {
  return Type.Unsafe<Static<T>>({ $ref: `${schema.$id ?? ""}#` });
}

/** An answer's shape, with what the document says of the answer. */
export function described<T extends TSchema>(schema: T, description: string): T {
  return { ...schema, description };
}

/** A value or null. */
export function nullable<T extends "string" | "number" | "integer">(type: T, description: string) {
  return Type.Unsafe<(T extends "string" ? string : number) | null>({ type: [type, "null"], description });
}

export const ErrorSchema = Type.Object(
  {
    error: Type.String({ description: "What is wrong, the field first." }),
    error_type: Type.String({
      description: [...new Set(Object.values(errorKinds).map(({ code }) => code))].join(", "),
    }),
    field: Type.Optional(Type.String({ description: "The field at fault, as it was sent: parameters.top_k" })),
  },
  { $id: "Error" },
);
export type ErrorBody = Static<typeof ErrorSchema>;

export const modelName = Type.Unsafe<string>({
  type: ["string", "null"],
  minLength: 1,
  maxLength: 256,
  description: "A model of /models; absent = the default model.",
});

/** Routes that want one of API_KEYS, where the server has any. */
export const keyed = [{ key: [] }, {}];

/** Routes that never want one. */
export const open: readonly Record<string, string[]>[] = [];

const meanings = {
  400: "Not JSON",
  401: "No key, or a wrong one",
  404: "No such model",
  409: "The key came with another body before: see `error`",
  410: "It was there and is not kept any longer",
  413: "Body too large",
  415: "Not application/json",
  422: "A field is wrong: `field` names it",
  424: "The model failed on this request",
  429: "Too much waits already: see Retry-After",
  500: "A fault of the server",
  501: "Not built in, or not configured",
  503: "Loading or shutting down: see Retry-After",
  504: "The deadline passed before the first token",
} as const;

export type ErrorStatus = keyof typeof meanings;

/** Error answers of a route, for its schema. */
export function errorAnswers(...statuses: readonly ErrorStatus[]) {
  return errorAnswersAs(ErrorSchema, ...statuses);
}

/** In the shape of another surface. */
export function errorAnswersAs(shape: TSchema & { $id?: string }, ...statuses: readonly ErrorStatus[]) {
  return Object.fromEntries(
    statuses.map((status) => {
      const comesBack = status === 429 || status === 503;
      return [
        status,
        { ...ref(shape), description: meanings[status], ...(comesBack ? { headers: retryHeaders } : {}) },
      ];
    }),
  );
}

const retryHeaders = {
  "Retry-After": {
    type: "integer",
    minimum: 0,
    description: "Seconds after which to come again, where that is known.",
  },
};

// Streams in the OpenAPI document: an event is its lines, and what its `data:` line holds depends on its `event:` line.

type Named = TSchema & { $id?: string };

/** Content of a streamed answer. `shapes` by the event's name: "message" is what clients call one without an `event:` line. */
export function eventStream(shapes: Readonly<Record<string, readonly Named[]>>) {
  return streamOf(Object.entries(shapes).map(([name, data]) => event(name, json(data))));
}

/** OpenAI's: events without names, the last one says [DONE]. */
export function eventStreamUntilDone(...shapes: readonly Named[]) {
  return streamOf([event("message", { type: "string", anyOf: [{ const: "[DONE]" }, json(shapes)] })]);
}

function streamOf(events: readonly object[]): { "text/event-stream": { schema: object } } {
  const [first] = events;
  return { "text/event-stream": { schema: events.length === 1 && first !== undefined ? first : { oneOf: events } } };
}

function json(shapes: readonly Named[]): object {
  const [first] = shapes;
  const contentSchema = shapes.length === 1 && first !== undefined ? ref(first) : { oneOf: shapes.map(ref) };
  return { type: "string", contentMediaType: "application/json", contentSchema };
}

function event(name: string, data: object): object {
  const properties = { id: { type: "string" }, event: { type: "string", const: name }, data };
  return { type: "object", required: ["event", "data"], properties };
}
