// The models of one process: finds folders, loads them side by side, shares the cores out. One broken folder never stops another.
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "../../errors.js";
import { suggestion } from "../../nearest.js";
import { EngineLoads } from "../protocol/engine-loads.js";
import type { ModelInfo } from "./model-info.js";
import { ModelSlot, type SlotOptions } from "./model-slot.js";
import { LoadMeter } from "./load-steps.js";

export interface CatalogOptions extends SlotOptions {
  /** Serve only these, the first is the default; null for all. */
  readonly models: readonly string[] | null;
  readonly threads: number | null;
  /** CPUs this process may use. */
  readonly cpus: number;
}

export class Catalog {
  readonly #options: CatalogOptions;
  readonly #slots: ReadonlyMap<string, ModelSlot>;
  readonly #defaultName: string;

  private constructor(options: CatalogOptions, names: readonly string[]) {
    const meter = new LoadMeter();
    const loads = new EngineLoads(options.cpus);
    this.#options = options;
    this.#slots = new Map(names.map((name) => [name, new ModelSlot(name, { ...options, loads }, meter)]));
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
    const slots = [...this.#slots.values()];
    const isReadable = await Promise.all(slots.map((slot) => slot.read()));
    const threads = this.#threads(isReadable.filter(Boolean).length);
    await Promise.all(slots.map((slot) => slot.start(threads)));
  }

  /** Throws AppError "not_found" with the nearest name, "unavailable" when there are none. */
  get(name: string | undefined): ModelSlot {
    if (this.#slots.size === 0) {
      throw new AppError("unavailable", `no models: ${this.#options.modelsDir} has no model folder`, {
        retryAfterSeconds: 60,
      });
    }
    const slot = this.#slots.get(name ?? this.#defaultName);
    if (slot === undefined) throw this.#notFound(name ?? "");
    return slot;
  }

  infos(): ModelInfo[] {
    return [...this.#slots.values()].map((slot) => ({ ...slot.info(), isDefault: slot.name === this.#defaultName }));
  }

  async close(): Promise<void> {
    await Promise.all([...this.#slots.values()].map((slot) => slot.close()));
  }

  // The cores are shared out over the engines of models that can be served; one thread an engine is the fastest way to use two small ones.
  #threads(models: number): number {
    const { threads, cpus, engines } = this.#options;
    return threads ?? Math.max(1, Math.floor(cpus / (Math.max(1, models) * (engines ?? 1))));
  }

  #notFound(name: string): AppError {
    const hint = suggestion(name, [...this.#slots.keys()]);
    return new AppError("not_found", `no model "${name}"${hint}`, { field: "model" });
  }
}

/** Folders, and links that lead nowhere or out: their slots say so. Throws one line when there is no such folder. */
export async function foldersIn(dir: string): Promise<string[]> {
  const entries = await readdir(dir, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    throw new Error(`MODELS_DIR: cannot read ${dir}: ${error.code ?? error.message}`, { cause: error });
  });
  const visible = entries.filter(({ name }) => !name.startsWith(".")).sort((a, b) => (a.name < b.name ? -1 : 1));
  const isFolder = await Promise.all(
    visible.map(async (entry) => {
      if (!entry.isSymbolicLink()) return entry.isDirectory();
      return (await stat(join(dir, entry.name)).catch(() => null))?.isDirectory() ?? true;
    }),
  );
  return visible.flatMap(({ name }, index) => (isFolder[index] === true ? [name] : []));
}
