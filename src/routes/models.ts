// GET /models, /models/{name} and /info: what is loaded, from which files, on which device, with which limits.
import { Type, type Static, type TSchema } from "typebox";
import { AppError } from "../errors.js";
import type { Inference } from "../inference/inference.js";
import { rowBytesAtLimits, type ModelInfo } from "../inference/catalog/model-info.js";
import { suggestion } from "../nearest.js";
import type { RouteParts } from "./route-parts.js";
import { described, errorAnswers, nullable, open, ref } from "./http/schemas.js";
import type { App } from "./http/app.js";
import { deviceBody, DeviceSchema } from "./health.js";

const text = (description: string) => nullable("string", description);
const orNull = <Schema extends TSchema>(schema: Schema) =>
  Type.Unsafe<Static<Schema> | null>({ anyOf: [schema, { type: "null" }] });
const count = Type.Integer({ minimum: 0 });
const texts = Type.Array(Type.String());

const GraphsSchema = Type.Object(
  {
    rewritten: Type.Boolean({
      description: "Compiled at load for rows of any age; false: the stock graphs are served.",
    }),
    reason: text("Why they were not rewritten."),
    batching: Type.Unsafe<string>({
      type: "string",
      enum: ["any_age", "equal_age", "one_row"],
      description: "Which rows share a run of the decoder.",
    }),
    bit_equal: orNull(
      Type.Boolean({ description: "The load check saw the same bits in any company; null when it was not made." }),
    ),
    attention: orNull(
      Type.Object(
        { layer: count, heads: Type.Array(count) },
        { description: "Attention is the mean of these heads' cross-attention in this decoder layer, counted from 0." },
      ),
    ),
  },
  { description: "What loading made of a transformer's graphs; null for other layouts." },
);

const AgreementSchema = Type.Object(
  {
    tokens: count,
    same: count,
    share: Type.Number({ description: "same / tokens" }),
  },
  {
    description: "Greedy tokens of the built-in texts on which our int8 agrees with fp32; null where it is not served.",
  },
);

const RowMemorySchema = Type.Object(
  {
    bytes_per_target_token: count,
    bytes_per_source_token: count,
    bytes_at_limits: Type.Integer({ description: "Of one row with max_input_tokens and max_new_tokens." }),
  },
  { description: "What one row keeps between steps: keys and values, in widths padded to 16. A beam is a row." },
);

const MemorySchema = Type.Object({
  weight_bytes: nullable("integer", "Of the model's files, weights beside them included."),
  loaded_bytes: nullable(
    "integer",
    "What the last load added to the process's resident memory; null where other loads ran at the same time.",
  ),
});

export const ModelSchema = Type.Object(
  {
    name: Type.String({ description: "Name of the folder." }),
    state: Type.Unsafe<string>({ type: "string", enum: ["loading", "ready", "idle", "failed"] }),
    error: text("Why loading failed."),
    default: Type.Boolean({ description: "Whether requests without `model` go here." }),
    layout: Type.Unsafe<string>({ type: "string", enum: ["recurrent", "transformer", "stateless"] }),
    task: text("translation, summarization, g2p, …"),
    tasks: Type.Array(Type.String(), { description: "What parameters.task may name." }),
    description: text("What the model does."),
    licence: text("Its licence."),
    version: text("Its version."),
    device: Type.String({ description: "What it really runs on." }),
    dtype: Type.String(),
    files: Type.Record(Type.String(), Type.String(), { description: "File name by role." }),
    notes: texts,
    graphs: orNull(GraphsSchema),
    int8_agreement: orNull(AgreementSchema),
    row_memory: orNull(RowMemorySchema),
    limits: Type.Object({ max_input_tokens: count, max_new_tokens: count, max_beams: count }),
    languages: Type.Object({ source: texts, target: texts }),
    vocab_size: count,
    attention: Type.Boolean({ description: "Whether parameters.attention can be honoured." }),
    engines: count,
    threads: Type.Integer({ description: "ONNX Runtime threads per engine." }),
    load_ms: Type.Number(),
    memory: MemorySchema,
  },
  { $id: "Model" },
);
type ModelBody = Static<typeof ModelSchema>;

const ModelsSchema = Type.Object({ default: text("Name of the default model."), models: Type.Array(ref(ModelSchema)) });

const InfoSchema = Type.Object(
  {
    model_id: text("The default model."),
    model_sha: Type.Null(),
    model_pipeline_tag: text("Its task."),
    max_concurrent_requests: Type.Integer({ description: "Requests that may wait." }),
    max_best_of: count,
    max_stop_sequences: count,
    max_input_tokens: nullable("integer", "Of the default model."),
    max_total_tokens: nullable("integer", "Source and generated tokens of the default model."),
    max_client_batch_size: Type.Integer({ description: "Texts in one request." }),
    validation_workers: count,
    router: Type.String(),
    version: Type.String(),
    sha: Type.Null(),
    docker_label: Type.Null(),
    device: orNull(ref(DeviceSchema)),
    models: Type.Array(ref(ModelSchema)),
  },
  { description: "TGI's fields, and all models." },
);

export function modelRoutes(app: App, { inference, config, version, device }: RouteParts): void {
  const common = { tags: ["models"], security: open };
  const params = Type.Object({ name: Type.String({ description: "Name of the folder.", examples: ["itn-en"] }) });
  const all = {
    ...common,
    operationId: "listModels",
    summary: "All models",
    response: { 200: described(ModelsSchema, "All, loaded or not") },
  };
  app.get("/models", { schema: all }, async () => {
    const models = inference.models();
    return { default: models.find(({ isDefault }) => isDefault)?.name ?? null, models: models.map(modelBody) };
  });
  const response = { 200: described(ref(ModelSchema), "What is known of it"), ...errorAnswers(404) };
  app.get(
    "/models/:name",
    { schema: { ...common, operationId: "getModel", summary: "One model", params, response } },
    async (request) => modelBody(findModel(inference, request.params.name)),
  );
  const info = { ...common, operationId: "getInfo", summary: "The server", response: { 200: InfoSchema } };
  app.get("/info", { schema: info }, async () => {
    const models = inference.models();
    const main = models.find(({ isDefault }) => isDefault);
    const limits = main?.limits;
    return {
      model_id: main?.name ?? null,
      model_sha: null,
      model_pipeline_tag: main?.task ?? null,
      max_concurrent_requests: config.maxQueuedRequests,
      max_best_of: config.maxBeams,
      max_stop_sequences: 16,
      max_input_tokens: limits?.maxInputTokens ?? null,
      max_total_tokens: limits === undefined ? null : limits.maxInputTokens + limits.maxNewTokens,
      max_client_batch_size: config.maxInputs,
      validation_workers: 1,
      router: "seqserve",
      version,
      sha: null,
      docker_label: null,
      device: device && deviceBody(device),
      models: models.map(modelBody),
    };
  });
}

function findModel(inference: Inference, name: string): ModelInfo {
  const models = inference.models();
  const found = models.find((model) => model.name === name);
  if (found !== undefined) return found;
  const known = models.map((model) => model.name);
  throw new AppError("not_found", `no such model${suggestion(name, known)}`, { field: "name" });
}

function factsBody(model: ModelInfo) {
  const { facts } = model;
  if (facts === null) return { graphs: null, int8_agreement: null, row_memory: null };
  const { batching, fallbackReason, bitEqual, int8, rowMemory } = facts;
  const attention = facts.attention && { layer: facts.attention.layer, heads: [...facts.attention.heads] };
  return {
    graphs: { rewritten: fallbackReason === null, reason: fallbackReason, batching, bit_equal: bitEqual, attention },
    int8_agreement: int8 && { ...int8, share: int8.same / int8.tokens },
    row_memory: {
      bytes_per_target_token: rowMemory.perTargetToken,
      bytes_per_source_token: rowMemory.perSourceToken,
      bytes_at_limits: rowBytesAtLimits(model) ?? 0,
    },
  };
}

/** What GET /models/{name} answers. */
export function modelBody(model: ModelInfo): ModelBody {
  const { limits, languages } = model;
  return {
    name: model.name,
    state: model.state,
    error: model.error ?? null,
    default: model.isDefault,
    layout: model.layout,
    task: model.task,
    tasks: [...model.tasks],
    description: model.description,
    licence: model.licence,
    version: model.version,
    device: model.device,
    dtype: model.dtype,
    files: { ...model.files },
    notes: [...model.notes],
    ...factsBody(model),
    limits: {
      max_input_tokens: limits.maxInputTokens,
      max_new_tokens: limits.maxNewTokens,
      max_beams: limits.maxBeams,
    },
    languages: { source: [...languages.source], target: [...languages.target] },
    vocab_size: model.vocabSize,
    attention: model.attention,
    engines: model.engines,
    threads: model.threads,
    load_ms: model.loadMs,
    memory: { weight_bytes: model.memory.weightBytes, loaded_bytes: model.memory.loadedBytes },
  };
}
