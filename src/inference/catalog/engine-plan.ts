// A folder's plan with what only its tokenizers know: ids of padding, sizes of vocabularies, texts as ids. The engine knows no text.
import { checkTexts } from "./check-texts.js";
import type { ModelPlan, SourcePlan } from "../protocol/plan.js";
import type { FolderPlan } from "../folder/folder.js";
import type { SpecialIds } from "./served-model.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";

export async function enginePlan(folder: FolderPlan, source: Tokenizer, special: SpecialIds): Promise<ModelPlan> {
  const { plan } = folder;
  if (plan.layout !== "transformer")
    return { ...plan, padId: special.pad, source: sourcePlan(folder, plan.source, source) };
  if (plan.dtype !== "int8") return { ...plan, padId: special.pad };
  const encoded = await Promise.all(checkTexts.map((text) => source.encode(text)));
  const sources = encoded.map((tokens) => tokens.map((token) => token.id));
  return { ...plan, padId: special.pad, int8Check: { sources, startId: special.start, eosIds: special.eos } };
}

function sourcePlan({ folder, manifest }: FolderPlan, plan: SourcePlan, source: Tokenizer): SourcePlan {
  const symbol = manifest.source?.padToken ?? null;
  const padId = typeof symbol === "string" ? source.idOf(symbol) : symbol;
  if (symbol !== null && padId === null)
    throw new Error(`${folder}: seqserve.json: source.padToken: the source has no symbol ${JSON.stringify(symbol)}`);
  if (plan.padTo !== null && padId === null)
    throw new Error(`${folder}: seqserve.json: source.padTo: expected source.padToken beside it, found none`);
  return { ...plan, padId, vocabSize: source.vocabSize };
}
