// GET /generations and /generations/{id}, DELETE /generations/{id}: only ever one's own.
import type { FastifyRequest } from "fastify";
import { Type } from "typebox";
import { AppError } from "../../errors.js";
import { stateBody, summaryBody } from "./answer.js";
import { idParam, noQuery, PageSchema, StateSchema, SummarySchema } from "./schemas.js";
import type { LookupStatus } from "../../queue/log/token-log.js";
import type { RouteParts } from "../route-parts.js";
import { described, errorAnswers, ErrorSchema, keyed, ref } from "../http/schemas.js";
import type { App } from "../http/app.js";
import { pagePositionPattern } from "../../queue/log/token-log.js";
import { requestOwner } from "../http/hooks.js";

const tags = ["durable"];
const defaultPageSize = 20;

/** No such generation, or somebody else's. */
export const unknownGeneration = described(ref(ErrorSchema), "No such generation among those of this key");

const pageQuery = Type.Object(
  {
    limit: Type.Optional(
      Type.String({
        pattern: "^([1-9][0-9]?|100)$",
        description: `1 to 100; ${defaultPageSize} when absent.`,
        examples: [String(defaultPageSize)],
      }),
    ),
    before: Type.Optional(Type.String({ pattern: pagePositionPattern, description: "`next` of the page before." })),
  },
  { additionalProperties: false },
);

export function lookupRoutes(app: App, parts: RouteParts): void {
  listRoute(app, parts);
  stateRoute(app, parts);
  cancelRoute(app, parts);
}

/** The generation, if the caller's. Throws AppError "not_found", or "gone" when it has expired. */
export async function findOwnGeneration(
  { generations, config }: RouteParts,
  { headers }: Pick<FastifyRequest, "headers">,
  id: string,
): Promise<LookupStatus> {
  const found = /^[\da-f]{32}$/u.test(id) ? await generations.find(id) : "gone";
  if (found === "expired") throw new AppError("gone", "this generation is not kept any longer (GENERATION_TTL)");
  if (found === "gone" || found.record.owner !== requestOwner(headers, config.apiKeys)) {
    throw new AppError("not_found", "no such generation");
  }
  return found;
}

function listRoute(app: App, parts: RouteParts): void {
  app.get(
    "/generations",
    {
      schema: {
        tags,
        security: keyed,
        operationId: "listGenerations",
        summary: "One's own durable generations",
        description: "Those of the caller's key, newest first. Without keys: all.",
        querystring: pageQuery,
        response: { 200: described(ref(PageSchema), "A page of them"), ...errorAnswers(401, 422, 500, 503) },
      },
    },
    async ({ headers, query }) => {
      const page = { before: query.before ?? null, limit: Number(query.limit ?? defaultPageSize) };
      const { statuses, next } = await parts.generations.list(requestOwner(headers, parts.config.apiKeys), page);
      return { generations: statuses.map(summaryBody), next };
    },
  );
}

function stateRoute(app: App, parts: RouteParts): void {
  const { inference } = parts;
  app.get(
    "/generations/:id",
    {
      schema: {
        tags,
        security: keyed,
        operationId: "getGeneration",
        summary: "A durable generation, and its result once there is one",
        params: idParam,
        querystring: noQuery,
        response: {
          200: described(ref(StateSchema), "Its state"),
          ...errorAnswers(401, 410, 422, 500, 503),
          404: unknownGeneration,
        },
      },
    },
    async (request) => {
      const status = await findOwnGeneration(parts, request, request.params.id);
      return stateBody(status, (model, id) => inference.detokenize(model, [id], false));
    },
  );
}

function cancelRoute(app: App, parts: RouteParts): void {
  app.delete(
    "/generations/:id",
    {
      schema: {
        tags,
        security: keyed,
        operationId: "cancelGeneration",
        summary: "Cancel a durable generation",
        description: "It ends with an `error` event of type `cancelled`. What it gave so far stays readable.",
        params: idParam,
        querystring: noQuery,
        response: {
          202: described(ref(SummarySchema), "It is being cancelled"),
          204: { type: "null", description: "It had ended before: nothing to cancel" },
          ...errorAnswers(401, 410, 422, 500, 503),
          404: unknownGeneration,
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      const before = await findOwnGeneration(parts, request, id);
      if (!(await parts.generations.cancel(id))) return reply.code(204).send(null);
      const now = await parts.generations.find(id);
      return reply.code(202).send(summaryBody(typeof now === "object" ? now : before));
    },
  );
}
