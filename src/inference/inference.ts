// Models as queue/ and routes/ see them: prepare a request, generate from a Prepared, tokenize, and list what is loaded.
import { randomBytes } from "node:crypto";
import type { Generate, GenerationEvent, GenerationRequest, Prepared, TokenEvent } from "../generation.js";
import { generateFrom, type OnRan } from "./generation/generate.js";
import { Catalog, type CatalogOptions } from "./catalog/catalog.js";
import type { EngineFacts } from "./catalog/engine-facts.js";
import type { ModelInfo } from "./catalog/model-info.js";
import { encodeSource, prepare } from "./request/prepare.js";
import { prepareScoring, type Scoring } from "./request/scoring.js";
import type { SourceToken } from "./tokenizer/tokenizer.js";
import { FairQueue } from "./host/fair-queue.js";

export interface Inference {
  /** Throws AppError "validation" (naming the field), "not_found", "unavailable", or what onArrival throws. */
  prepare(request: GenerationRequest): Promise<Prepared>;
  readonly generate: Generate;
  /**
   * Resumes where another worker stopped. `log` has the token events that may have been seen, from the first without gaps. Yields only what
   * follows them: together exactly what an undisturbed generate() yields. Throws AppError "generation" for a log that is not this generation's.
   */
  continue(prepared: Prepared, log: readonly TokenEvent[], signal: AbortSignal): AsyncIterable<GenerationEvent>;
  /** What to run to explain an output (text, or ids after the start token) of a prepared request. Throws AppError "validation" naming `output`. */
  scoring(prepared: Prepared, output: string | readonly number[]): Promise<Scoring>;
  /** `truncate` cuts a text that is longer, as parameters.truncate does. */
  tokenize(model: string | undefined, text: string, truncate?: number): Promise<SourceToken[]>;
  detokenize(model: string | undefined, ids: readonly number[], skipSpecialTokens: boolean): string;
  models(): ModelInfo[];
  /**
   * SHA-256, hexadecimal, of what the model's folder holds: the same wherever it is the same model, whatever DEVICE and DTYPE are. Read when first asked
   * for after a load. Throws AppError "unavailable" for a model that failed.
   */
  digest(model: string): Promise<string>;
  /**
   * What decides the arithmetic of the engines beside the folder's content, as one word such as "transformer/int8/cpu/rewritten8/ort1.30": workers of
   * one digest and variant compute alike, but for their CPUs. Null before an engine has loaded.
   */
  variant(model: string): string | null;
  /** What engines found out while loading. Workers announce it to processes without engines. Null before an engine has loaded. */
  facts(model: string): EngineFacts | null;
  /** The other end of `facts`, in a process without engines. Null: no worker serves the model any more. A model whose folder here doesn't fit has failed. */
  learn(model: string, facts: EngineFacts | null): void;
  /** Resolves when every model is loaded or has failed. */
  readonly ready: Promise<void>;
  close(): Promise<void>;
}

export interface InferenceOptions extends CatalogOptions {
  readonly defaultTimeoutMs: number | null;
  readonly onRan?: OnRan;
  /** Called before a request for this model is prepared. Throws where its queue would refuse it anyway, so that a refusal costs next to nothing. */
  readonly onArrival?: (model: string) => void;
}

/** Starts loading at once. Throws one line when a model that was asked for by name is not there. */
export async function createInference(options: InferenceOptions): Promise<Inference> {
  const catalog = await Catalog.open(options);
  const fairQueue = new FairQueue();
  const { onArrival = () => undefined } = options;
  return {
    ready: catalog.load(),
    models: () => catalog.infos(),
    digest: async (model) => catalog.get(model).digest(),
    variant: (model) => catalog.get(model).facts?.variant ?? null,
    facts: (model) => catalog.get(model).facts,
    learn: (model, facts) => catalog.get(model).learn(facts),
    close: () => catalog.close(),
    prepare: async (request) => {
      const slot = catalog.get(request.model);
      onArrival(slot.name);
      await fairQueue.enter(slot.name);
      // Requests before it may have filled the queue meanwhile.
      onArrival(slot.name);
      return prepare(request, slot.model, {
        id: newId(),
        random: Math.random(),
        now: Date.now(),
        defaultTimeoutMs: options.defaultTimeoutMs,
      });
    },
    generate: (prepared, signal) => generateFrom(catalog.get(prepared.model), prepared, [], signal, options.onRan),
    continue: (prepared, log, signal) =>
      generateFrom(catalog.get(prepared.model), prepared, log, signal, options.onRan),
    scoring: (prepared, output) => prepareScoring(prepared, output, catalog.get(prepared.model).model, newId),
    tokenize: async (model, text, truncate) => encodeSource(text, catalog.get(model).model, {}, truncate),
    detokenize: (model, ids, skipSpecialTokens) => catalog.get(model).model.target.decode(ids, skipSpecialTokens),
  };
}

function newId(): string {
  return randomBytes(16).toString("hex");
}
