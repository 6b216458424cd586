// One model folder's place in the process, from its files to running engines and back.
//
//   loading ──▶ ready ◀──▶ idle (engines closed for want of requests, started again by the next one)        failed: one line says why
import { join } from "node:path";
import { AppError } from "../errors.js";
import type { EngineRun, SubmitSpec } from "./engine-host.js";
import { EnginePool } from "./engine-pool.js";
import type { EngineInfo, StepReport } from "./engine-protocol.js";
import { surveyFiles, surveyFolder, namedFiles } from "./folder-survey.js";
import { draftManifest, type ManifestDraft } from "./draft-manifest.js";
import { runDraft } from "./draft-run.js";
import { enginePlan } from "./engine-plan.js";
import { readFolder, type FolderPlan } from "./folder.js";
import type { LoadMeter } from "./load-meter.js";
import { loadedModel, oneLine, probeOf, textSide } from "./load-steps.js";
import { folderInfo, loadedInfo, unknownModel, type ModelInfo } from "./model-info.js";
import type { ServedModel, ServerLimits } from "./served-model.js";

export interface SlotOptions {
  readonly modelsDir: string;
  readonly device: string;
  readonly dtype: string;
  /** Where compiled graphs are kept. */
  readonly cacheDir: string;
  /** Engines a model; null = one. */
  readonly engines: number | null;
  readonly maxBatchRows: number;
  readonly maxEncodeTokens: number;
  readonly limits: ServerLimits;
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
  #folder: FolderPlan | null = null;
  #model: ServedModel | null = null;
  #info: EngineInfo | null = null;
  #draft: ManifestDraft | null = null;
  /** Running, or on their way up or down; null: none. */
  #engines: Promise<EnginePool> | null = null;
  #closing: Promise<void> = Promise.resolve();
  #isRunning = false;
  #error: string | null = null;
  #threads = 1;
  #loadMs = 0;
  #loadedBytes: number | null = null;
  #inFlight = 0;
  #idleTimer: NodeJS.Timeout | null = null;

  constructor(name: string, options: SlotOptions, meter: LoadMeter) {
    this.name = name;
    this.#options = options;
    this.#meter = meter;
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
    this.#threads = threads;
    await this.#attempt(async () => {
      await this.#running();
    });
    this.#draft &&= await runDraft(join(this.#options.modelsDir, this.name), this.#draft, this.#options);
    this.#options.onLoaded(this.info());
    this.#watchIdleness();
  }

  /** Throws AppError "unavailable" while it loads or when it failed. */
  get model(): ServedModel {
    if (this.#error === null && this.#model !== null) return this.#model;
    const state = this.#error === null ? "is loading" : `failed to load: ${this.#error}`;
    throw new AppError("unavailable", `model "${this.name}" ${state}`, { field: "model", retryAfterSeconds: 1 });
  }

  /** Runs one sequence; `use` gets it once the engines are there, which stay until it resolves. */
  async *run(spec: SubmitSpec, signal: AbortSignal): AsyncGenerator<EngineRun, void, void> {
    this.#inFlight += 1;
    this.#stopIdleTimer();
    try {
      const pool = await untilAborted(this.#wakened(), signal);
      yield pool.submit(spec, signal);
    } finally {
      this.#inFlight -= 1;
      this.#watchIdleness();
    }
  }

  info(): ModelInfo {
    return {
      ...unknownModel,
      ...(this.#folder !== null && folderInfo(this.#folder)),
      ...(this.#model !== null && this.#info !== null && loadedInfo(this.#model, this.#info)),
      ...(this.#error !== null && { error: this.#error }),
      ...(this.#draft !== null && { draft: this.#draft }),
      name: this.name,
      state: this.#state,
      isDefault: false,
      engines: this.#isRunning ? this.#engineCount : 0,
      threads: this.#threads,
      loadMs: Math.round(this.#loadMs),
      memory: { weightBytes: this.#info?.weightBytes ?? null, loadedBytes: this.#loadedBytes },
    };
  }

  async close(): Promise<void> {
    this.#inFlight += 1;
    this.#stopIdleTimer();
    await this.#unload();
  }

  get #state(): ModelInfo["state"] {
    if (this.#error !== null) return "failed";
    if (this.#model === null) return "loading";
    return this.#isRunning ? "ready" : "idle";
  }

  get #engineCount(): number {
    return this.#options.engines ?? 1;
  }

  // A model that ran once is tried again at each request: its files may just be being replaced.
  async #wakened(): Promise<EnginePool> {
    const wasRunning = this.#engines !== null;
    try {
      const pool = await this.#running();
      if (!wasRunning) this.#options.onLoaded(this.info());
      return pool;
    } catch (error) {
      if (error instanceof AppError) throw error;
      const message = `model "${this.name}" failed to load again: ${oneLine(error)}`;
      throw new AppError("unavailable", message, { field: "model", retryAfterSeconds: 5, cause: error });
    }
  }

  #running(): Promise<EnginePool> {
    this.#engines ??= this.#closing
      .then(() => this.#startEngines())
      .catch((error: unknown) => {
        this.#engines = null;
        throw error;
      });
    return this.#engines;
  }

  async #startEngines(): Promise<EnginePool> {
    const { maxBatchRows, maxEncodeTokens, device, onStep, loadTimeoutMs } = this.#options;
    const folder = this.#folder;
    if (folder === null) throw new Error(this.#error ?? "the folder was not read");
    const started = performance.now();
    const side = this.#model ?? (await textSide(folder, this.#options.limits));
    const [plan, probe] = [await enginePlan(folder, side.source, side.special), probeOf(folder, side)];
    const pool = new EnginePool(this.#engineCount, {
      maxBatchRows,
      maxEncodeTokens,
      threads: this.#threads,
      loadTimeoutMs,
      device: device === "auto" ? "cpu" : device,
      onStep: (report) => onStep(this.name, report),
      onCrash: (error) => this.#crashed(error),
    });
    const { value: info, bytes } = await this.#meter.measure(() => pool.load(plan, probe));
    try {
      this.#model = loadedModel(this.name, folder, side, info);
    } catch (error) {
      await pool.close();
      throw error;
    }
    this.#info = info;
    this.#isRunning = true;
    this.#loadedBytes = bytes;
    this.#loadMs = performance.now() - started;
    return pool;
  }

  #crashed(error: Error): void {
    if (this.#isRunning) this.#error = oneLine(error);
  }

  async #attempt(load: () => Promise<void>): Promise<void> {
    try {
      await load();
    } catch (error) {
      this.#error = oneLine(error);
    }
  }

  #stopIdleTimer(): void {
    if (this.#idleTimer !== null) clearTimeout(this.#idleTimer);
    this.#idleTimer = null;
  }

  #watchIdleness(): void {
    const { idleUnloadMs } = this.#options;
    if (idleUnloadMs === 0 || this.#inFlight > 0 || !this.#isRunning) return;
    this.#stopIdleTimer();
    this.#idleTimer = setTimeout(
      () => void this.#unload().then(() => this.#options.onUnloaded(this.info())),
      idleUnloadMs,
    );
    this.#idleTimer.unref();
  }

  // Who asks while engines close waits for #closing in #running, then starts new ones.
  #unload(): Promise<void> {
    const engines = this.#engines;
    this.#engines = null;
    this.#isRunning = false;
    if (engines !== null) this.#closing = engines.then((pool) => pool.close()).catch(() => undefined);
    return this.#closing;
  }
}

async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
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
