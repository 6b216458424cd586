// One model of the process, from its folder's files to running engines and back.
//
//   loading ──▶ loaded: ready ◀──▶ idle (engines closed for want of requests, started again by the next one)
//   loading ──▶ remote, where engines run in other processes: ready while one of them serves it, else loading
//   loading or loaded ──▶ failed: one line says why
import { join } from "node:path";
import { AppError } from "../../errors.js";
import { folderDigest } from "../folder/digest.js";
import { engineFacts, type EngineFacts } from "./engine-facts.js";
import type { EngineLoads } from "../protocol/engine-loads.js";
import type { StepReport } from "../protocol/engine-protocol.js";
import { surveyFiles, surveyFolder, namedFiles } from "../folder/folder-survey.js";
import { enginePlan } from "./engine-plan.js";
import { ManifestMissing, readFolder, type FolderPlan } from "../folder/folder.js";
import { vocabularyFault, oneLine, engineProbe, textSide, type TextSide, type LoadMeter } from "./load-steps.js";
import { engineInfo, folderInfo, textInfo, unknownModel, type ModelInfo } from "./model-info.js";
import type { ServedModel, ServerLimits } from "./served-model.js";
import { OnDemandEngines } from "./on-demand-engines.js";
import { EnginePool } from "../host/engine-host.js";

export interface SlotOptions {
  readonly modelsDir: string;
  /** "cpu" or "cuda:<number>" */
  readonly device: string;
  readonly dtype: string;
  /** Where compiled graphs are kept. */
  readonly cacheDir: string;
  /** Engines a model; null = one. */
  readonly engines: number | null;
  /** False: texts are prepared here and generated elsewhere; no weights are loaded. Default true. */
  readonly startsEngines?: boolean;
  readonly maxBatchRows: number;
  readonly maxEncodeTokens: number;
  readonly limits: ServerLimits;
  /** How busy each engine of the process is: shared cores go to lightly loaded ones first. */
  readonly loads?: EngineLoads;
  /** Engines close after this time without a request; 0 = never. */
  readonly idleUnloadMs: number;
  /** A folder that takes longer to load has failed. */
  readonly loadTimeoutMs: number;
  readonly onStep: (model: string, report: StepReport) => void;
  /** It is ready, or has failed. */
  readonly onLoaded: (info: ModelInfo) => void;
  readonly onUnloaded: (info: ModelInfo) => void;
}

/** Nothing is served yet; the folder is null until it was read. */
interface Loading {
  readonly phase: "loading";
  readonly folder: FolderPlan | null;
  readonly text: null;
  readonly facts: null;
  /** What engines elsewhere have announced before the text side was there. */
  readonly announced: EngineFacts | null;
}

/** Parts that were known before it failed stay known. */
interface Failed {
  readonly phase: "failed";
  readonly error: string;
  readonly needsManifest: boolean;
  readonly folder: FolderPlan | null;
  readonly text: TextSide | null;
  readonly facts: EngineFacts | null;
}

/** Engines of this process have loaded it; whether they run now, OnDemandEngines knows. */
interface Loaded {
  readonly phase: "loaded";
  readonly folder: FolderPlan;
  readonly text: TextSide;
  readonly facts: EngineFacts;
}

/** Texts are prepared here, engines run in other processes. */
interface Remote {
  readonly phase: "remote";
  readonly folder: FolderPlan;
  readonly text: TextSide;
  /** As last announced; null: never yet. */
  readonly facts: EngineFacts | null;
  /** Some process serves it now. */
  readonly isServed: boolean;
  /** Why the announced engines don't fit this folder. */
  readonly fault: string | null;
}

type State = Loading | Failed | Loaded | Remote;

export class ModelSlot {
  readonly name: string;
  readonly #options: SlotOptions;
  readonly #meter: LoadMeter;
  readonly #engines: OnDemandEngines;
  #state: State = { phase: "loading", folder: null, text: null, facts: null, announced: null };
  #digest: Promise<string> | null = null;
  #threads = 1;
  #lastLoad: { readonly ms: number; readonly bytes: number | null } = { ms: 0, bytes: null };

  constructor(name: string, options: SlotOptions, meter: LoadMeter) {
    this.name = name;
    this.#options = options;
    this.#meter = meter;
    this.#engines = new OnDemandEngines({
      start: () => this.#startEngines(),
      idleUnloadMs: options.idleUnloadMs,
      onUnloaded: () => options.onUnloaded(this.info()),
    });
  }

  /** Reads the folder, no weights. True when engines can be started for it. */
  async read(): Promise<boolean> {
    const { modelsDir } = this.#options;
    const path = join(modelsDir, this.name);
    try {
      await surveyFolder(path, modelsDir);
      const folder = await readFolder(path, this.#options);
      await surveyFiles(namedFiles(path, folder.manifest), modelsDir);
      this.#state = { phase: "loading", folder, text: null, facts: null, announced: null };
      return true;
    } catch (error) {
      this.#fail(error);
      return false;
    }
  }

  /** Starts the engines with this many threads each, or only the text side where engines run elsewhere. Resolves also when that fails. */
  async start(threads: number): Promise<void> {
    if (!this.#startsEngines) return this.#startText();
    this.#threads = threads;
    if (this.#state.phase !== "failed") await this.#engines.get().catch((error: unknown) => this.#fail(error));
    this.#options.onLoaded(this.info());
    this.#engines.closeWhenIdle();
  }

  /**
   * In a process without engines: what those elsewhere found out while loading; null: none serves the model any more. A model whose folder here
   * doesn't fit them has failed until others are announced.
   */
  learn(facts: EngineFacts | null): void {
    const state = this.#state;
    if (state.phase === "loading") this.#state = { ...state, announced: facts };
    if (state.phase !== "remote") return;
    if (facts === null) {
      this.#state = { ...state, isServed: false };
      return;
    }
    const fault = vocabularyFault(state.folder, state.text, facts);
    this.#state = { ...state, facts, fault, isServed: true };
    if (!state.isServed || fault !== state.fault) this.#options.onLoaded(this.info());
  }

  /** What engines found out while loading, here or elsewhere; null before that is known. */
  get facts(): EngineFacts | null {
    return this.#state.facts;
  }

  /**
   * SHA-256 of what the folder holds. Read when first asked for after each load: ask soon, for files that are replaced later are another model.
   * Throws AppError "unavailable" when the folder can't be read.
   */
  digest(): Promise<string> {
    const { folder } = this.#state;
    if (folder === null) throw this.#unavailable();
    this.#digest ??= folderDigest(folder);
    return this.#digest;
  }

  /** The text side. Throws AppError "unavailable" while it loads or when it failed. */
  get model(): ServedModel {
    const state = this.#state;
    if ((state.phase !== "loaded" && state.phase !== "remote") || this.#error !== null) throw this.#unavailable();
    return { name: this.name, folder: state.folder, ...state.text, hasAttention: state.facts?.hasAttention ?? null };
  }

  /** Pairs with release(): the engines stay in between. */
  acquire(): void {
    this.#engines.acquire();
  }

  release(): void {
    this.#engines.release();
  }

  /** The engines, started when they are not there. Throws AppError "unavailable" where they run elsewhere or can't be started, or the signal's reason. */
  engines(signal: AbortSignal): Promise<EnginePool> {
    if (!this.#startsEngines) throw new AppError("unavailable", "this process starts no engines: it prepares requests");
    signal.throwIfAborted();
    return untilAborted(this.#startAgain(), signal);
  }

  info(): ModelInfo {
    const { folder, text, facts } = this.#state;
    const error = this.#error;
    return {
      ...unknownModel,
      ...(folder !== null && folderInfo(folder)),
      ...(folder !== null && text !== null && textInfo(folder, text)),
      ...(facts !== null && engineInfo(facts)),
      ...(error !== null && { error }),
      ...(this.#state.phase === "failed" && { needsManifest: this.#state.needsManifest }),
      name: this.name,
      state: this.#stateForInfo,
      isDefault: false,
      engines: this.#engines.isRunning ? this.#engineCount : 0,
      threads: this.#threads,
      loadMs: Math.round(this.#lastLoad.ms),
      memory: { weightBytes: facts?.weightBytes ?? null, loadedBytes: this.#lastLoad.bytes },
    };
  }

  close(): Promise<void> {
    return this.#engines.close();
  }

  get #startsEngines(): boolean {
    return this.#options.startsEngines ?? true;
  }

  get #engineCount(): number {
    return this.#options.engines ?? 1;
  }

  get #error(): string | null {
    if (this.#state.phase === "failed") return this.#state.error;
    return this.#state.phase === "remote" ? this.#state.fault : null;
  }

  get #stateForInfo(): ModelInfo["state"] {
    const state = this.#state;
    switch (state.phase) {
      case "loading":
      case "failed":
        return state.phase;
      case "loaded":
        return this.#engines.isRunning ? "ready" : "idle";
      case "remote":
        return state.fault !== null ? "failed" : state.isServed ? "ready" : "loading";
      default:
        return state satisfies never;
    }
  }

  // A model that ran once is tried again at each request: its files may just be being replaced.
  async #startAgain(): Promise<EnginePool> {
    const { isStarted } = this.#engines;
    try {
      const pool = await this.#engines.get();
      if (!isStarted) this.#options.onLoaded(this.info());
      return pool;
    } catch (error) {
      if (error instanceof AppError) throw error;
      const message = `model "${this.name}" failed to load again: ${oneLine(error)}`;
      throw new AppError("unavailable", message, {
        field: "model",
        isSentence: true,
        retryAfterSeconds: 5,
        cause: error,
      });
    }
  }

  async #startText(): Promise<void> {
    const { folder } = this.#state;
    if (folder === null) return this.#options.onLoaded(this.info());
    try {
      const text = await textSide(folder, this.#options.limits);
      const announced = this.#state.phase === "loading" ? this.#state.announced : null;
      this.#state = { phase: "remote", folder, text, facts: null, isServed: false, fault: null };
      this.learn(announced);
    } catch (error) {
      this.#fail(error);
      this.#options.onLoaded(this.info());
    }
  }

  async #startEngines(): Promise<EnginePool> {
    const options = this.#options;
    const { folder, text: loadedText } = this.#state;
    if (folder === null) throw new Error(this.#error ?? "the folder was not read");
    const started = performance.now();
    const text = loadedText ?? (await textSide(folder, options.limits));
    const [plan, probe] = [await enginePlan(folder, text.source, text.special), engineProbe(folder, text)];
    const pool = new EnginePool(this.#engineCount, {
      ...options,
      loads: options.loads ?? null,
      threads: this.#threads,
      onStep: (report) => options.onStep(this.name, report),
      onCrash: (error) => this.#onCrash(error),
    });
    const { value: info, bytes } = await this.#meter.measure(() => pool.load(plan, probe));
    const facts = engineFacts(folder, info);
    const fault = vocabularyFault(folder, text, facts);
    if (fault !== null) {
      await pool.close();
      throw new Error(fault);
    }
    if (this.#state.phase !== "failed") this.#state = { phase: "loaded", folder, text, facts };
    this.#digest = null;
    this.#lastLoad = { ms: performance.now() - started, bytes };
    return pool;
  }

  #onCrash(error: Error): void {
    if (this.#engines.isRunning) this.#fail(error);
  }

  #fail(error: unknown): void {
    const { folder, text, facts } = this.#state;
    const needsManifest = error instanceof ManifestMissing;
    this.#state = { phase: "failed", error: oneLine(error), needsManifest, folder, text, facts };
  }

  #unavailable(): AppError {
    const state = this.#error === null ? "is loading" : `failed to load: ${this.#error}`;
    return new AppError("unavailable", `model "${this.name}" ${state}`, {
      field: "model",
      isSentence: true,
      retryAfterSeconds: 1,
    });
  }
}

async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let abort = (): void => undefined;
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason as Error);
    signal.addEventListener("abort", abort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
