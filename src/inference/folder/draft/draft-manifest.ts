// A draft of seqserve.json for a folder with one or two graphs and no manifest: `seqserve check` prints it with what it is unsure of. Nothing is served from it.
import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { decoderRoles, draftGraph, encoderRoles, type DraftGraph, type DraftPart } from "./draft-roles.js";
import { orderStates } from "./draft-states.js";
import { readModel } from "../../onnx/read-model.js";
import { readVocabulary } from "../../tokenizer/vocabulary/vocabulary-table.js";

export interface ManifestDraft {
  /** JSON, indented. */
  readonly text: string;
  /** What the graphs themselves, or a run with it, have shown. */
  readonly confirmed: readonly string[];
  /** What a person should look at. */
  readonly unsure: readonly string[];
}

const startSymbols = ["<s>", "<bos>", "<sos>", "<go>", "<start>", "[CLS]", "\t"];
const endSymbols = ["</s>", "<eos>", "<end>", "[SEP]", "\n"];
const padSymbols = ["<pad>", "[PAD]", "<blank>", "_"];

/** null where there is nothing to draft from. */
export async function draftManifest(folder: string): Promise<ManifestDraft | null> {
  const files = await readdir(folder);
  const graphs = files.filter((file) => file.endsWith(".onnx")).flatMap((file) => readGraph(folder, file));
  const isKnown = files.includes("seqserve.json") || files.includes("config.json");
  if (isKnown || graphs.length === 0 || graphs.length > 2) return null;
  const unsure: string[] = [];
  const { encoder, decoder } = sides(graphs, unsure);
  const encoderPart = encoder === null ? null : encoderRoles(encoder);
  const { part: decoderPart, line } = statesInOrder(encoder, encoderPart, decoder, decoderRoles(decoder, encoderPart));
  if (encoder !== null && encoderPart !== null) unsure.push(...unnamed("encoder", encoder, encoderPart));
  unsure.push(...unnamed("decoder", decoder, decoderPart), ...doubts(encoderPart, decoderPart, line !== null));
  const { source, target } = await vocabularies(folder, files, unsure);
  const manifest = {
    ...(encoder !== null && { encoder: { file: encoder.file, ...encoderPart } }),
    decoder: { file: decoder.file, ...decoderPart },
    source: { ...source, ...fixedWidth(encoder, encoderPart, unsure) },
    target,
  };
  return { text: JSON.stringify(manifest, null, 2), confirmed: line === null ? [] : [line], unsure };
}

function statesInOrder(
  encoder: DraftGraph | null,
  given: DraftPart | null,
  decoder: DraftGraph,
  held: DraftPart,
): { part: DraftPart; line: string | null } {
  if (encoder === null || given === null) return { part: held, line: null };
  return orderStates(encoder, given, decoder, held);
}

/** A graph that takes one width only says so itself, but not on which side it was padded. */
function fixedWidth(encoder: DraftGraph | null, part: DraftPart | null, unsure: string[]): { padTo?: number } {
  const tokens = encoder?.inputs.find(({ name }) => name === (part?.inputs["ids"] ?? part?.inputs["onehot"]));
  const width = tokens?.dims[1];
  if (typeof width !== "number" || width === 1) return {};
  unsure.push(`source.padSide, reverse: right, no (${tokens?.name} takes ${width} tokens)`);
  return { padTo: width };
}

function readGraph(folder: string, file: string): DraftGraph[] {
  try {
    const { graph } = readModel(join(folder, file));
    return graph === undefined ? [] : [draftGraph(basename(file), graph)];
  } catch {
    // Not a graph: the message about the folder stands without a draft.
    return [];
  }
}

function sides(graphs: readonly DraftGraph[], unsure: string[]): { encoder: DraftGraph | null; decoder: DraftGraph } {
  const [first, second] = graphs as [DraftGraph, DraftGraph | undefined];
  if (second === undefined) return { encoder: null, decoder: first };
  const byName = graphs.find(({ file }) => /dec/iu.test(file)) ?? graphs.find(({ file }) => !/enc/iu.test(file));
  const isCertain = graphs.some(({ file }) => /dec/iu.test(file)) || graphs.some(({ file }) => /enc/iu.test(file));
  // A decoder takes what an encoder returns and more.
  const larger = first.inputs.length > second.inputs.length ? first : second;
  const decoder = isCertain ? (byName ?? larger) : larger;
  if (!isCertain) unsure.push(`which graph is the decoder: ${decoder.file} has more inputs`);
  return { encoder: decoder === first ? second : first, decoder };
}

function unnamed(part: string, { inputs, outputs }: DraftGraph, roles: DraftPart): string[] {
  const taken = new Set(Object.values(roles.inputs).flat());
  const lost = inputs
    .filter(({ name }) => !taken.has(name))
    .map(({ name }) => `${part} input "${name}": no role found`);
  const given = new Set(Object.values(roles.outputs).flat());
  return [
    ...lost,
    ...outputs.filter(({ name }) => !given.has(name)).map(({ name }) => `${part} output "${name}": left out`),
  ];
}

function doubts(encoder: DraftPart | null, { inputs, outputs }: DraftPart, isOrderKnown: boolean): string[] {
  const [states = [], held = []] = [encoder?.outputs["states"], inputs["states"]];
  const pairs = [states].flat().map((name, k) => `${name} → ${[held].flat()[k] ?? "?"}`);
  return [
    ...(pairs.length > 1 && !isOrderKnown ? [`the order of states: ${pairs.join(", ")}`] : []),
    ...(outputs["scoresAre"] === undefined ? ["decoder.outputs.scoresAre: logits, as no softmax was seen"] : []),
    ...(encoder !== null && encoder.inputs["mask"] === undefined && encoder.inputs["lengths"] === undefined
      ? ["source.padTo, padSide: needed where training padded sources without a mask"]
      : []),
  ];
}

async function vocabularies(folder: string, files: readonly string[], unsure: string[]) {
  const lists = files.filter((file) => /\.(txt|json)$/u.test(file));
  const source =
    lists.find((file) => /src|source|input|encoder/iu.test(file)) ?? lists.find((file) => /vocab/iu.test(file));
  const target = lists.find((file) => /tgt|trg|target|output|decoder/iu.test(file)) ?? source;
  if (source === undefined || target === undefined) {
    unsure.push("source.vocab, target.vocab: no list was found");
    return { source: { vocab: "source.txt" }, target: { vocab: "target.txt", bos: "<s>", eos: "</s>" } };
  }
  const [sourceIds, targetIds] = [await symbolsOf(folder, source), await symbolsOf(folder, target)];
  const pick = (ids: ReadonlySet<string>, symbols: readonly string[], field: string) => {
    const found = symbols.find((symbol) => ids.has(symbol));
    if (found === undefined && field.startsWith("target."))
      unsure.push(`${field}: none of the usual symbols is in ${target}`);
    return found;
  };
  const appendEos = pick(sourceIds, endSymbols, "source.appendEos");
  if (appendEos !== undefined) unsure.push(`source.appendEos: ${source} has ${JSON.stringify(appendEos)}`);
  unsure.push("source.split, lowercase, unknown: characters, as they are, refused");
  return {
    source: { vocab: source, appendEos, padToken: pick(sourceIds, padSymbols, "source.padToken") },
    target: {
      vocab: target,
      bos: pick(targetIds, startSymbols, "target.bos"),
      eos: pick(targetIds, endSymbols, "target.eos"),
    },
  };
}

async function symbolsOf(folder: string, file: string): Promise<ReadonlySet<string>> {
  const table = await readVocabulary(folder, file).catch(() => null);
  return new Set(table?.ids.keys());
}
