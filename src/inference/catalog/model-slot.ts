// One model folder's place in the process, from its files to running engines and back.
//
//   loading ──▶ ready ◀──▶ idle (engines closed for want of requests, started again by the next one)        failed: one line says why
import { join } from "node:path";
import { AppError } from "../../errors.js";
import { EnginePool } from "../host/engine-pool.js";
import { folderDigest } from "../folder/digest.js";
import { engineFacts, type EngineFacts } from "./engine-facts.js";
import type { EngineLoads } from "../protocol/engine-loads.js";
import type { StepReport } from "../protocol/engine-protocol.js";
import { surveyFiles, surveyFolder, namedFiles } from "../folder/folder-survey.js";
import { draftManifest, type ManifestDraft } from "../folder/draft/draft-manifest.js";
import { runDraft } from "./draft-run.js";
import { enginePlan } from "./engine-plan.js";
import { readFolder, type FolderPlan } from "../folder/folder.js";
import { vocabularyFault, oneLine, probeOf, textSide, type TextSide, type LoadMeter } from "./load-steps.js";
import { engineInfo, folderInfo, textInfo, unknownModel, type ModelInfo } from "./model-info.js";
import type { ServedModel, ServerLimits } from "./served-model.js";
import { OnDemandEngines } from "./on-demand-engines.js";

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
  /** Of all models of this process: shared cores go to lightly loaded ones first. */
  readonly loads?: EngineLoads;
  /** Engines close after so long without a request; 0 = never. */
  readonly idleUnloadMs: number;
  /** A folder that takes longer to load has failed. */
  readonly loadTimeoutMs: number;
  readonly onStep: (model: string, report: StepReport) => void;
  /** It is ready, or has failed. */
  readonly onLoaded: (info: ModelInfo) => void;
  readonly onUnloaded: (info: ModelInfo) => void;
}

export class ModelSlot {
  readonly name: string;
  readonly #options: SlotOptions;
  readonly #meter: LoadMeter;
  readonly #engines: OnDemandEngines;
  #folder: FolderPlan | null = null;
  #side: TextSide | null = null;
  /** Null until somebody's engines have told: this process's, or others'. */
  #facts: EngineFacts | null = null;
  /** Where engines run elsewhere: some are there now. */
  #isSeen = false;
  #draft: ManifestDraft | null = null;
  #digest: Promise<string> | null = null;
  #error: string | null = null;
  #threads = 1;
  #loadMs = 0;
  #loadedBytes: number | null = null;

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
    await this.#attempt(async () => {
      await surveyFolder(path, modelsDir);
      const folder = await readFolder(path, this.#options).catch(async (error: unknown) => {
        this.#draft = await draftManifest(path).catch(() => null);
        throw error;
      });
      await surveyFiles(namedFiles(path, folder.manifest), modelsDir);
      this.#folder = folder;
    });
    return this.#folder !== null;
  }

  /** Starts the engines, with so many threads each; resolves also when that fails. */
  async start(threads: number): Promise<void> {
    if (!this.#startsEngines) return this.#startText();
    this.#threads = threads;
    await this.#attempt(async () => {
      await this.#engines.get();
    });
    this.#draft &&= await runDraft(join(this.#options.modelsDir, this.name), this.#draft, this.#options);
    this.#options.onLoaded(this.info());
    this.#engines.closeWhenIdle();
  }

  /** Where engines run elsewhere: what they found out while loading; null: none is there any more. A model that doesn't fit them has failed. */
  learn(facts: EngineFacts | null): void {
    const [wasSeen, knownError] = [this.#isSeen, this.#error];
    this.#isSeen = facts !== null;
    const [folder, side] = [this.#folder, this.#side];
    if (facts === null || folder === null || side === null) return;
    this.#facts = facts;
    this.#error = vocabularyFault(folder, side, facts);
    if (!wasSeen || this.#error !== knownError) this.#options.onLoaded(this.info());
  }

  /** What engines found out while loading, here or elsewhere; null before that is known. */
  get facts(): EngineFacts | null {
    return this.#facts;
  }

  /** Read when first asked for, once a load: ask soon, for files that are replaced later are another model. */
  digest(): Promise<string> {
    const folder = this.#folder;
    if (folder === null) throw this.#unavailable();
    this.#digest ??= folderDigest(folder);
    return this.#digest;
  }

  /** Throws AppError "unavailable" while it loads or when it failed. */
  get model(): ServedModel {
    if (this.#error !== null || this.#folder === null || this.#side === null) throw this.#unavailable();
    if (this.#facts === null && this.#startsEngines) throw this.#unavailable();
    const hasAttention = this.#facts?.hasAttention ?? null;
    return { name: this.name, folder: this.#folder, ...this.#side, hasAttention };
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
    return untilAborted(this.#wakened(), signal);
  }

  info(): ModelInfo {
    return {
      ...unknownModel,
      ...(this.#folder !== null && folderInfo(this.#folder)),
      ...(this.#folder !== null && this.#side !== null && textInfo(this.#folder, this.#side)),
      ...(this.#facts !== null && engineInfo(this.#facts)),
      ...(this.#error !== null && { error: this.#error }),
      ...(this.#draft !== null && { draft: this.#draft }),
      name: this.name,
      state: this.#state,
      isDefault: false,
      engines: this.#engines.isRunning ? this.#engineCount : 0,
      threads: this.#threads,
      loadMs: Math.round(this.#loadMs),
      memory: { weightBytes: this.#facts?.weightBytes ?? null, loadedBytes: this.#loadedBytes },
    };
  }

  close(): Promise<void> {
    return this.#engines.close();
  }

  get #startsEngines(): boolean {
    return this.#options.startsEngines ?? true;
  }

  get #state(): ModelInfo["state"] {
    if (this.#error !== null) return "failed";
    if (!this.#startsEngines) return this.#isSeen ? "ready" : "loading";
    if (this.#facts === null) return "loading";
    return this.#engines.isRunning ? "ready" : "idle";
  }

  get #engineCount(): number {
    return this.#options.engines ?? 1;
  }

  // A model that ran once is tried again at each request: its files may just be being replaced.
  async #wakened(): Promise<EnginePool> {
    const { isStarted: isWanted } = this.#engines;
    try {
      const pool = await this.#engines.get();
      if (!isWanted) this.#options.onLoaded(this.info());
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
    await this.#attempt(async () => {
      if (this.#folder !== null) this.#side = await textSide(this.#folder, this.#options.limits);
    });
    if (this.#error !== null) this.#options.onLoaded(this.info());
  }

  async #startEngines(): Promise<EnginePool> {
    const options = this.#options;
    const folder = this.#folder;
    if (folder === null) throw new Error(this.#error ?? "the folder was not read");
    const started = performance.now();
    const side = this.#side ?? (await textSide(folder, options.limits));
    const [plan, probe] = [await enginePlan(folder, side.source, side.special), probeOf(folder, side)];
    const pool = new EnginePool(this.#engineCount, {
      ...options,
      loads: options.loads ?? null,
      threads: this.#threads,
      onStep: (report) => options.onStep(this.name, report),
      onCrash: (error) => this.#crashed(error),
    });
    const { value: info, bytes } = await this.#meter.measure(() => pool.load(plan, probe));
    const facts = engineFacts(folder, info);
    const fault = vocabularyFault(folder, side, facts);
    if (fault !== null) {
      await pool.close();
      throw new Error(fault);
    }
    this.#side = side;
    this.#facts = facts;
    this.#digest = null;
    this.#loadedBytes = bytes;
    this.#loadMs = performance.now() - started;
    return pool;
  }

  #crashed(error: Error): void {
    if (this.#engines.isRunning) this.#error = oneLine(error);
  }

  #unavailable(): AppError {
    const state = this.#error === null ? "is loading" : `failed to load: ${this.#error}`;
    return new AppError("unavailable", `model "${this.name}" ${state}`, {
      field: "model",
      isSentence: true,
      retryAfterSeconds: 1,
    });
  }

  async #attempt(load: () => Promise<void>): Promise<void> {
    try {
      await load();
    } catch (error) {
      this.#error = oneLine(error);
    }
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
