// What /v2 tells of the server and its models, and which model a path means.
import { Type } from "typebox";
import { AppError } from "../../errors.js";
import type { ModelInfo } from "../../inference/model-info.js";
import { suggestion } from "../../nearest.js";
import { readiness } from "../health.js";
import type { App, RouteParts } from "../parts.js";
import { errorAnswers } from "../schemas.js";

const tags = ["compatible"];

/** Open, as /models and /health are. */
export function kserveModelRoutes(app: App, parts: RouteParts): void {
  const { inference, version } = parts;
  const answers = { 200: Type.Object({}, { additionalProperties: true }), ...errorAnswers(404) };
  app.get("/v2", { schema: { tags, summary: "KServe: the server" } }, async () => {
    return { name: "seqserve", version, extensions: ["generate"] };
  });
  app.get("/v2/health/live", { schema: { tags, summary: "KServe: alive?" } }, async () => ({ live: true }));
  app.get("/v2/health/ready", { schema: { tags, summary: "KServe: ready for traffic?" } }, async (_request, reply) => {
    const ready = (await readiness(parts)).status === "ready";
    return reply.code(ready ? 200 : 503).send({ ready });
  });
  eachPath("", (url, params) => {
    const schema = { tags, summary: "KServe: a model", params, response: answers };
    app.get(url, { schema }, async (request) => modelBody(modelOf(inference.models(), request.params)));
  });
  eachPath("ready", (url, params) => {
    const schema = { tags, summary: "KServe: is a model ready?", params };
    app.get(url, { schema }, async (request, reply) => {
      const { name, state } = modelOf(inference.models(), request.params);
      const ready = state === "ready" || state === "idle";
      return reply.code(ready ? 200 : 503).send({ name, ready });
    });
  });
}

const modelParams = Type.Object({ model: Type.String() });
const versionParams = Type.Object({ model: Type.String(), version: Type.String() });

// A version in the path is optional, as in Triton.
export function eachPath(name: string, add: (url: string, params: typeof modelParams) => void): void {
  const end = name === "" ? "" : `/${name}`;
  add(`/v2/models/:model${end}`, modelParams);
  add(`/v2/models/:model/versions/:version${end}`, versionParams);
}

/** Throws AppError "not_found" that names model or version. */
export function modelOf(models: readonly ModelInfo[], params: unknown): ModelInfo {
  const { model, version } = params as { model: string; version?: string };
  const found = models.find(({ name }) => name === model);
  if (found === undefined) {
    const hint = suggestion(
      model,
      models.map(({ name }) => name),
    );
    throw new AppError("not_found", `model: no such model${hint}`, { field: "model" });
  }
  const served = versionOf(found);
  if (version === undefined || version === served) return found;
  throw new AppError("not_found", `version: this model is served in version ${served}`, { field: "version" });
}

export function versionOf({ version }: Pick<ModelInfo, "version">): string {
  return version ?? "1";
}

function modelBody(model: ModelInfo) {
  const text = (name: string) => [{ name, datatype: "BYTES", shape: [1] }];
  const versions = [versionOf(model)];
  return { name: model.name, versions, platform: "seqserve", inputs: text("text_input"), outputs: text("text_output") };
}
