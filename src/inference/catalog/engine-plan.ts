// A folder's plan with what only its tokenizers know: ids of padding, sizes of vocabularies, texts as ids. The engine knows no text.
import type { ModelPlan, SourcePlan } from "../protocol/plan.js";
import type { FolderPlan } from "../folder/folder.js";
import type { SpecialIds } from "./served-model.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";

/** Texts on which int8 is compared with fp32 at load: everyday words, numbers, names, several scripts. */
const checkTexts: readonly string[] = [
  "the meeting starts at nine thirty on monday the third of march",
  "please send me twenty five dollars before the end of the week",
  "How many people live in the largest city of the country?",
  "knights and daughters walk through the old town",
  "Der Zug nach Berlin fährt heute um halb acht ab.",
  "Elle a acheté trois livres et une carte postale.",
  "La temperatura media subió dos grados en diez años.",
  "Сегодня вечером мы идём в театр.",
  "今天天气很好，我们去公园吧。",
  "version 2.0.1 was released on 2024-05-17",
];

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
