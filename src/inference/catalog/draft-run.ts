// Runs a draft of seqserve.json once, in an engine of its own: what that confirms, and what it cannot. For `seqserve check`; nothing is served from it.
import type { ManifestDraft } from "../folder/draft/draft-manifest.js";
import { engineFacts } from "./engine-facts.js";
import type { EngineInfo } from "../protocol/engine-protocol.js";
import { enginePlan } from "./engine-plan.js";
import { folderPlan, type FolderOptions } from "../folder/folder.js";
import { oneLine, engineProbe, textSide, vocabularyFault } from "./load-steps.js";
import { checkManifest, type Manifest } from "../folder/manifest.js";
import { EnginePool } from "../host/engine-host.js";

export interface DraftRunOptions extends FolderOptions {
  readonly loadTimeoutMs: number;
}

/** Never throws: a run that fails is what the draft is unsure of first. */
export async function runDraft(folder: string, draft: ManifestDraft, options: DraftRunOptions): Promise<ManifestDraft> {
  try {
    const manifest = checkManifest(`${folder}: the draft`, JSON.parse(draft.text));
    const info = await loadOnce(folder, manifest, options);
    const isSure = manifest.decoder?.outputs.scoresAre !== undefined;
    const probs = isSure ? null : withProbabilities(manifest);
    const areProbs = probs !== null && (await loadOnce(folder, probs, options).then(Boolean, () => false));
    return confirmDraft(
      areProbs ? { ...draft, text: JSON.stringify(probs, null, 2) } : draft,
      manifest,
      info,
      areProbs,
    );
  } catch (error) {
    return { ...draft, unsure: [`it does not run as it is: ${oneLine(error)}`, ...draft.unsure] };
  }
}

function confirmDraft(draft: ManifestDraft, manifest: Manifest, info: EngineInfo, areProbs: boolean): ManifestDraft {
  const kind = areProbs ? "probs" : (manifest.decoder?.outputs.scoresAre ?? "logits");
  const sum = kind === "logits" ? "they are no probabilities" : "they sum to 1";
  const [batchingNote = ""] = info.notes;
  const isPaddingSeen = batchingNote.startsWith("sources of any length");
  const isSettled = (line: string) =>
    /^(which graph is the decoder|decoder\.outputs\.scoresAre)/u.test(line) ||
    (isPaddingSeen && line.startsWith("source.padTo, padSide: needed"));
  return {
    text: draft.text,
    confirmed: [
      `files, names, roles and element types: they ran, and ${batchingNote}`,
      `decoder.outputs.scoresAre: ${kind}, as ${sum}`,
      `source.vocab and target.vocab: the graphs know as many symbols (${info.vocabSize} are scored)`,
      ...draft.confirmed,
    ],
    unsure: draft.unsure.filter((line) => !isSettled(line)),
  };
}

function withProbabilities(manifest: Manifest): Manifest {
  const { decoder } = manifest;
  if (decoder === undefined) return manifest;
  return { ...manifest, decoder: { ...decoder, outputs: { ...decoder.outputs, scoresAre: "probs" } } };
}

/** As the catalog would load it. Throws one line. */
async function loadOnce(folder: string, manifest: Manifest, options: DraftRunOptions): Promise<EngineInfo> {
  const read = await folderPlan(folder, manifest, options);
  const side = await textSide(read, { maxInputTokens: null, maxNewTokens: 16, maxBeams: 1 });
  const { loadTimeoutMs, device = "cpu" } = options;
  const [plan, probe] = [await enginePlan(read, side.source, side.special), engineProbe(read, side)];
  const pool = new EnginePool(1, { ...bounds, device, loadTimeoutMs, loads: null, onStep: ignore, onCrash: ignore });
  const info = await pool.load(plan, probe);
  await pool.close();
  const fault = vocabularyFault(read, side, engineFacts(read, info));
  if (fault !== null) throw new Error(fault);
  return info;
}

const bounds = { maxBatchRows: 4, maxEncodeTokens: 64, threads: 1 };
const ignore = (): void => undefined;
