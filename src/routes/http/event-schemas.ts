// Streams in the OpenAPI document: an event is its lines, and what its `data:` line holds depends on its `event:` line.
import type { TSchema } from "typebox";
import { ref } from "./schemas.js";

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
