// What queue/ and routes/ know of models: prepare a request, generate from a Prepared, tokenize, and tell what is loaded.
import { randomBytes } from "node:crypto";
import type { Generate, GenerationEvent, GenerationRequest, Prepared } from "../generation.js";
import type { EngineRun } from "./engine-host.js";
import { Catalog, type CatalogOptions } from "./catalog.js";
import type { ModelInfo } from "./model-info.js";
import { encodeSource, prepare } from "./prepare.js";
import type { SourceToken } from "./tokenizer/tokenizer.js";
import { Transcript } from "./transcript.js";
import { Turns } from "./turns.js";

export interface Inference {
  /** Throws AppError "validation" (naming the field), "not_found" or "unavailable". */
  prepare(request: GenerationRequest): Promise<Prepared>;
  readonly generate: Generate;
  /** `truncate` cuts a text that is longer, as parameters.truncate does. */
  tokenize(model: string | undefined, text: string, truncate?: number): Promise<SourceToken[]>;
  detokenize(model: string | undefined, ids: readonly number[], skipSpecialTokens: boolean): string;
  models(): ModelInfo[];
  /** Resolves when every model is loaded or has failed. */
  readonly ready: Promise<void>;
  close(): Promise<void>;
}

export interface InferenceOptions extends CatalogOptions {
  readonly defaultTimeoutMs: number | null;
}

/** Starts loading at once. Throws one line when a model that was asked for by name is not there. */
export async function createInference(options: InferenceOptions): Promise<Inference> {
  const catalog = await Catalog.open(options);
  const turns = new Turns();
  return {
    ready: catalog.load(),
    models: () => catalog.infos(),
    close: () => catalog.close(),
    prepare: async (request) => {
      const slot = catalog.get(request.model);
      await turns.take(slot.name);
      return prepare(request, slot.model, {
        id: randomBytes(16).toString("hex"),
        random: Math.random(),
        now: Date.now(),
        defaultTimeoutMs: options.defaultTimeoutMs,
      });
    },
    generate: (prepared, signal) => generate(catalog, prepared, signal),
    tokenize: async (model, text, truncate) => encodeSource(text, catalog.get(model).model, {}, truncate),
    detokenize: (model, ids, skipSpecialTokens) => catalog.get(model).model.target.decode(ids, skipSpecialTokens),
  };
}

async function* generate(
  catalog: Catalog,
  prepared: Prepared,
  signal: AbortSignal,
): AsyncGenerator<GenerationEvent, void, void> {
  const started = performance.now();
  const slot = catalog.get(prepared.model);
  const { target } = slot.model;
  const { sourceIds, decoding, wantLogprobs, topN, wantAttention, deadlineAt } = prepared;
  const spec = { sourceIds, decoding, wantLogprobs, topN, wantAttention, deadlineAt };
  for await (const run of slot.run(spec, signal)) {
    yield* written(run, new Transcript(prepared, target), started);
  }
}

async function* written(
  run: EngineRun,
  transcript: Transcript,
  started: number,
): AsyncGenerator<GenerationEvent, void, void> {
  let isFinishing = false;
  for await (const event of run.events) {
    if (event.type === "end") return yield* transcript.end(event.end, performance.now() - started);
    yield* transcript.take(event.output, event.token);
    if (!transcript.isStopped || isFinishing) continue;
    isFinishing = true;
    run.finish();
  }
}
