// The models of one process: finds folders, loads each by itself, keeps what became of it. One broken folder never stops another.
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../errors.js";
import { suggestion } from "../nearest.js";
import type { EngineInfo, StepReport } from "./engine-protocol.js";
import { draftManifest, type ManifestDraft } from "./draft-manifest.js";
import { enginePlan } from "./engine-plan.js";
import { EnginePool } from "./engine-pool.js";
import { readFolder, type FolderPlan } from "./folder.js";
import { modelLanguages } from "./languages.js";
import { folderInfo, unknownModel, type ModelInfo } from "./model-info.js";
import { defaultParameters } from "./default-parameters.js";
import { modelLimits, specialIds, type ServedModel, type ServerLimits } from "./served-model.js";
import { loadTokenizers } from "./tokenizer/load-tokenizer.js";

export interface CatalogOptions {
  readonly modelsDir: string;
  /** Serve only these, the first is the default; null for all. */
  readonly models: readonly string[] | null;
  readonly device: string;
  readonly dtype: string;
  /** Where compiled graphs are kept. */
  readonly cacheDir: string;
  readonly engines: number | null;
  readonly threads: number | null;
  /** CPUs this process may use. */
  readonly cpus: number;
  readonly maxBatchRows: number;
  readonly maxEncodeTokens: number;
  readonly limits: ServerLimits;
  readonly onStep: (model: string, report: StepReport) => void;
  readonly onLoaded: (info: ModelInfo) => void;
}

interface Loaded {
  readonly model: ServedModel;
  readonly pool: EnginePool;
  readonly info: EngineInfo;
}

interface Entry {
  readonly name: string;
  folder: FolderPlan | null;
  loaded: Loaded | null;
  error: string | null;
  draft: ManifestDraft | null;
  loadMs: number;
}

export class Catalog {
  readonly #options: CatalogOptions;
  readonly #entries: ReadonlyMap<string, Entry>;
  readonly #defaultName: string;

  private constructor(options: CatalogOptions, names: readonly string[]) {
    this.#options = options;
    this.#entries = new Map(
      names.map((name) => [name, { name, folder: null, loaded: null, error: null, draft: null, loadMs: 0 }]),
    );
    this.#defaultName = names[0] ?? "";
  }

  /** Throws one line when MODELS_DIR or a model named in MODEL is not there. */
  static async open(options: CatalogOptions): Promise<Catalog> {
    const present = await foldersIn(options.modelsDir);
    const missing = options.models?.find((name) => !present.includes(name));
    if (missing !== undefined) {
      throw new Error(`MODEL: no folder "${missing}" in ${options.modelsDir} (found: ${present.join(", ") || "none"})`);
    }
    return new Catalog(options, options.models ?? present);
  }

  /** Resolves when every model is loaded or has failed. */
  async load(): Promise<void> {
    await Promise.all([...this.#entries.values()].map((entry) => this.#load(entry)));
  }

  /** Throws AppError "not_found" with the nearest name, "unavailable" while it loads or when it failed. */
  get(name: string | undefined): Loaded {
    if (this.#entries.size === 0) {
      throw new AppError("unavailable", `no models: ${this.#options.modelsDir} has no model folder`, {
        retryAfterSeconds: 60,
      });
    }
    const entry = this.#entries.get(name ?? this.#defaultName);
    if (entry === undefined) throw this.#notFound(name ?? "");
    if (entry.loaded !== null) return entry.loaded;
    const state = entry.error === null ? "is loading" : `failed to load: ${entry.error}`;
    throw new AppError("unavailable", `model "${entry.name}" ${state}`, { field: "model", retryAfterSeconds: 1 });
  }

  infos(): ModelInfo[] {
    return [...this.#entries.values()].map((entry) => this.#info(entry));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#entries.values()].map((entry) => entry.loaded?.pool.close()));
  }

  async #load(entry: Entry): Promise<void> {
    const started = performance.now();
    try {
      entry.folder = await readFolder(join(this.#options.modelsDir, entry.name), this.#options);
      entry.loaded = await this.#start(entry, entry.folder);
    } catch (error) {
      entry.error = (error as Error).message;
      entry.draft = await draftManifest(join(this.#options.modelsDir, entry.name)).catch(() => null);
    }
    entry.loadMs = performance.now() - started;
    this.#options.onLoaded(this.#info(entry));
  }

  async #start(entry: Entry, folder: FolderPlan): Promise<Loaded> {
    const { source, target } = await loadTokenizers(folder.folder, folder.manifest);
    const limits = modelLimits(folder, this.#options.limits);
    const special = specialIds(folder, target);
    const defaults = defaultParameters(folder);
    const { maxBatchRows, maxEncodeTokens, device, onStep } = this.#options;
    const pool = new EnginePool(this.#options.engines ?? 1, {
      maxBatchRows,
      maxEncodeTokens,
      threads: this.#threads(),
      device: device === "auto" ? "cpu" : device,
      onStep: (report) => onStep(entry.name, report),
      onCrash: (error) => (entry.error = error.message),
    });
    const info = await pool.load(await enginePlan(folder, source, special));
    const { hasAttention } = info;
    return { model: { name: entry.name, folder, source, target, special, defaults, limits, hasAttention }, pool, info };
  }

  // The cores are shared out over the engines; one thread an engine is the fastest way to use two small ones.
  #threads(): number {
    const { threads, cpus, engines } = this.#options;
    return threads ?? Math.max(1, Math.floor(cpus / (this.#entries.size * (engines ?? 1))));
  }

  #info(entry: Entry): ModelInfo {
    const state = entry.error !== null ? "failed" : entry.loaded === null ? "loading" : "ready";
    return {
      ...unknownModel,
      ...(entry.folder !== null && folderInfo(entry.folder)),
      ...(entry.loaded !== null && loadedInfo(entry.loaded)),
      ...(entry.error !== null && { error: entry.error }),
      ...(entry.draft !== null && { draft: entry.draft }),
      name: entry.name,
      state,
      isDefault: entry.name === this.#defaultName,
      threads: this.#threads(),
      loadMs: Math.round(entry.loadMs),
    };
  }

  #notFound(name: string): AppError {
    const hint = suggestion(name, [...this.#entries.keys()]);
    return new AppError("not_found", `model: no model "${name}"${hint}`, { field: "model" });
  }
}

function loadedInfo({ model, pool, info }: Loaded) {
  return {
    device: info.device,
    notes: info.notes,
    limits: model.limits,
    languages: modelLanguages(model),
    vocabSize: info.vocabSize,
    attention: info.hasAttention,
    engines: pool.size,
  };
}

async function foldersIn(dir: string): Promise<string[]> {
  const names = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`MODELS_DIR: cannot read ${dir}: ${error.code ?? error.message}`, { cause: error });
  });
  const visible = names.filter((name) => !name.startsWith(".")).sort();
  const stats = await Promise.all(visible.map((name) => stat(join(dir, name))));
  return visible.filter((_, index) => stats[index]?.isDirectory());
}
