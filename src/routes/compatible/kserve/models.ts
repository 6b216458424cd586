// GET /v2 and below: facts about the server and its models; and which model a path means.
import { Type } from "typebox";
import { AppError } from "../../../errors.js";
import type { ModelInfo } from "../../../inference/catalog/model-info.js";
import { suggestion } from "../../../nearest.js";
import { readiness } from "../../health.js";
import type { RouteParts } from "../../route-parts.js";
import { described, errorAnswers, open } from "../../http/schemas.js";
import { KserveModelSchema, LiveSchema, ModelReadySchema, ReadySchema, ServerSchema } from "./schemas.js";
import type { App } from "../../http/app.js";

const tags = ["compatible"];

/** Open, as /models and /health are. */
export function kserveModelRoutes(app: App, parts: RouteParts): void {
  const { inference, version } = parts;
  const withSchema = (operationId: string, summary: string, response: object) => ({
    schema: { tags, security: open, operationId, summary: `KServe: ${summary}`, response },
  });
  app.get(
    "/v2",
    withSchema("kserveServer", "the server", { 200: described(ServerSchema, "Name, version, extensions") }),
    async () => {
      return { name: "seqserve", version, extensions: ["generate"] };
    },
  );
  app.get("/v2/health/live", withSchema("kserveLive", "alive?", { 200: described(LiveSchema, "Alive") }), async () => ({
    live: true,
  }));
  const readyAnswers = { 200: described(ReadySchema, "Ready"), 503: described(ReadySchema, "Not ready") };
  app.get(
    "/v2/health/ready",
    withSchema("kserveReady", "ready for traffic?", readyAnswers),
    async (_request, reply) => {
      const ready = (await readiness(parts)).status === "ready";
      return reply.code(ready ? 200 : 503).send({ ready });
    },
  );
  eachPath("", "kserveModel", (url, path) => {
    const { schema } = withSchema(path.operationId, "a model", {
      200: described(KserveModelSchema, "Its versions and tensors"),
      ...errorAnswers(404),
    });
    app.get(url, { schema: { ...schema, ...path } }, async (request) => {
      return modelBody(findModel(inference.models(), request.params));
    });
  });
  const stateAnswers = {
    200: described(ModelReadySchema, "Ready"),
    503: described(ModelReadySchema, "Not ready"),
    ...errorAnswers(404),
  };
  eachPath("ready", "kserveModelReady", (url, path) => {
    const { schema } = withSchema(path.operationId, "is a model ready?", stateAnswers);
    app.get(url, { schema: { ...schema, ...path } }, async (request, reply) => {
      const { name, state } = findModel(inference.models(), request.params);
      const ready = state === "ready" || state === "idle";
      return reply.code(ready ? 200 : 503).send({ name, ready });
    });
  });
}

const model = Type.String({ description: "Name of a model.", examples: ["itn-en"] });
const modelParams = Type.Object({ model });
const versionParams = Type.Object({
  model,
  version: Type.String({ description: "Its version: the model's own, else 1.", examples: ["1.0.0"] }),
});

/** What depends on whether the path has a version. */
export interface Path {
  readonly params: typeof modelParams;
  readonly operationId: string;
}

// A version in the path is optional, as in Triton.
export function eachPath(name: string, operationId: string, add: (url: string, path: Path) => void): void {
  const end = name === "" ? "" : `/${name}`;
  add(`/v2/models/:model${end}`, { params: modelParams, operationId });
  const versioned = { params: versionParams, operationId: `${operationId}OfVersion` };
  add(`/v2/models/:model/versions/:version${end}`, versioned);
}

/** Throws AppError "not_found" that names model or version. */
export function findModel(models: readonly ModelInfo[], params: unknown): ModelInfo {
  const { model, version } = params as { model: string; version?: string };
  const found = models.find(({ name }) => name === model);
  if (found === undefined) {
    const hint = suggestion(
      model,
      models.map(({ name }) => name),
    );
    throw new AppError("not_found", `no such model${hint}`, { field: "model" });
  }
  const served = modelVersion(found);
  if (version === undefined || version === served) return found;
  throw new AppError("not_found", `this model is served in version ${served}`, { field: "version" });
}

export function modelVersion({ version }: Pick<ModelInfo, "version">): string {
  return version ?? "1";
}

function modelBody(model: ModelInfo) {
  const text = (name: string) => [{ name, datatype: "BYTES", shape: [1] }];
  const versions = [modelVersion(model)];
  return { name: model.name, versions, platform: "seqserve", inputs: text("text_input"), outputs: text("text_output") };
}
