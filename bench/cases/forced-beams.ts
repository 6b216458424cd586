// node dist/bench/cases/forced-beams.js: how often beam search, begun again with only its committed prefix forced, ends otherwise than undisturbed.
// The reason why a take-over searches again from the start (docs/decisions/0005-…).
import { AppError } from "../../src/errors.js";
import type { Decoding, Prepared } from "../../src/generation.js";
import { Catalog } from "../../src/inference/catalog/catalog.js";
import type { EngineOutput } from "../../src/inference/protocol/engine-protocol.js";
import type { ModelSlot } from "../../src/inference/catalog/model-slot.js";
import { prepare } from "../../src/inference/request/prepare.js";
import { readTsv, workloads, type Workload } from "../tools/workload.js";

const texts = 1000;
const beams = 4;

interface Counts {
  cuts: number;
  readonly texts: Set<number>;
  /** Cuts after which the best output, or any of the n best, is another one. */
  changedBest: number;
  changedAny: number;
  /** Texts that at least one cut changes. */
  readonly changedTexts: Set<number>;
}

for (const workload of workloads()) await measure(withMore(workload));

async function measure({ model, inputs }: Workload): Promise<void> {
  const catalog = await Catalog.open(options(model));
  await catalog.load();
  const slot = catalog.get(model);
  const ways = { "decoder prefix alone": newCounts(), "prefix walked over and scored": newCounts() };
  for (let first = 0; first < texts; first += 30) {
    const some = inputs.slice(first, Math.min(texts, first + 30));
    await Promise.all(some.map((text, i) => compare(slot, text, first + i, Object.values(ways))));
  }
  for (const [way, { cuts, texts: compared, changedBest, changedAny, changedTexts }] of Object.entries(ways)) {
    const share = (count: number) => `${count} (${((100 * count) / cuts).toFixed(2)} %)`;
    console.log(
      `${model}, ${compared.size} texts, ${beams} beams, ${cuts} cuts, ${way}: best changed after ${share(changedBest)},`,
    );
    console.log(`  one of the ${beams} best after ${share(changedAny)}; texts with such a best: ${changedTexts.size}`);
  }
  await catalog.close();
}

// The sentences that the benches send are too few.
function withMore({ model, inputs }: Workload): Workload {
  const more = model === "itn-en" ? readTsv("training/itn/heldout-seed.tsv").map(([spoken = ""]) => spoken) : [];
  return { model, inputs: [...inputs, ...more] };
}

async function compare(slot: ModelSlot, text: string, number: number, ways: readonly Counts[]): Promise<void> {
  const parameters = { num_beams: beams, num_return_sequences: beams };
  const context = { id: "", random: 0, now: Date.now(), defaultTimeoutMs: null };
  const prepared = await prepare({ inputs: text, parameters }, slot.model, context).catch((error: unknown) => {
    // Some inputs have letters that the model doesn't know.
    if (error instanceof AppError && error.kind === "validation") return null;
    throw error;
  });
  if (prepared === null) return;
  const whole = idsOf(await run(slot, prepared, prepared.decoding, []));
  const best = whole[0] ?? [];
  for (let cut = 1; cut < best.length; cut += 1) {
    const known = best.slice(0, cut);
    const prefix = [...prepared.decoding.prefix, ...known];
    const alone = idsOf(await run(slot, prepared, { ...prepared.decoding, prefix }, []));
    const walked = idsOf(await run(slot, prepared, prepared.decoding, known));
    [alone.map((ids) => [...known, ...ids]), walked].forEach((outputs, way) => {
      const counts = ways[way];
      if (counts !== undefined) count(counts, number, whole, outputs);
    });
  }
}

function count(counts: Counts, text: number, whole: readonly number[][], outputs: readonly number[][]): void {
  const isChanged = String(outputs[0]) !== String(whole[0]);
  counts.cuts += 1;
  counts.texts.add(text);
  counts.changedBest += Number(isChanged);
  counts.changedAny += Number(JSON.stringify(outputs) !== JSON.stringify(whole));
  if (isChanged) counts.changedTexts.add(text);
}

async function run(slot: ModelSlot, prepared: Prepared, decoding: Decoding, resumedIds: readonly number[]) {
  const { sourceIds } = prepared;
  const quiet = { wantLogprobs: false, topN: 0, wantAttention: false, deadlineAt: null, priority: 5 };
  const signal = AbortSignal.timeout(60_000);
  slot.acquire();
  try {
    const engines = await slot.engines(signal);
    const { events } = engines.submit({ sourceIds, decoding, ...quiet, resumedIds: [resumedIds] }, signal);
    for await (const event of events) if (event.type === "end") return event.end.outputs;
  } finally {
    slot.release();
  }
  throw new Error("no end");
}

function idsOf(outputs: readonly EngineOutput[]): number[][] {
  return outputs.map(({ tokens }) => tokens.map(({ id }) => id));
}

function newCounts(): Counts {
  return { cuts: 0, texts: new Set(), changedBest: 0, changedAny: 0, changedTexts: new Set() };
}

function options(model: string): Parameters<typeof Catalog.open>[0] {
  return {
    modelsDir: "models",
    models: [model],
    device: "cpu",
    dtype: "auto",
    cacheDir: ".cache",
    engines: 1,
    threads: 1,
    cpus: 1,
    maxBatchRows: 128,
    maxEncodeTokens: 4096,
    limits: { maxInputTokens: null, maxNewTokens: 512, maxBeams: 16 },
    idleUnloadMs: 0,
    loadTimeoutMs: 600_000,
    onStep: () => undefined,
    onLoaded: () => undefined,
    onUnloaded: () => undefined,
  };
}
