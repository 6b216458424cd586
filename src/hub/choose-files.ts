// Which files of a repository a server needs: those it reads beside the graphs, and the graphs of one dtype with their weights. Pure.
import { basename, dirname, posix } from "node:path";
import { manifestFile } from "../inference/folder/manifest.js";
import { chooseAmong } from "../inference/folder/transformer-files.js";
import { HubRefusal, type HubFile, type Repository } from "./hub.js";

/** All that is read beside the graphs (inference/tokenizer/, inference/folder/). */
const textFiles = new Set([
  manifestFile,
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "target_vocab.json",
  "merges.txt",
  "source.spm",
  "target.spm",
  "spiece.model",
  "sentencepiece.bpe.model",
  "tokenizer.model",
]);

/** A manifest may give its vocabularies any name. */
const manifestEndings = /\.(onnx|json|txt|model|spm)$/u;

export interface ChosenFiles {
  /** As DTYPE names it; "manifest" where a seqserve.json names the graphs. */
  readonly dtype: string;
  readonly files: readonly HubFile[];
}

/** Throws HubRefusal that names what is there. */
export function chooseFiles({ name, files }: Repository, dtype: string, device: string): ChosenFiles {
  const safe = files.filter(({ path }) => isInside(path));
  const graphs = safe.map(({ path }) => path).filter((path) => path.endsWith(".onnx"));
  const hasManifest = safe.some(({ path }) => path === manifestFile);
  if (graphs.length === 0) throw new HubRefusal(`${name}: no ONNX files: ${describeOtherWeights(files)}`);
  if (hasManifest && !graphs.some((path) => basename(path).startsWith("encoder_model"))) {
    const isWanted = (path: string) => manifestEndings.test(path) || graphs.some((graph) => isDataOf(graph, path));
    return { dtype: "manifest", files: safe.filter(({ path }) => isWanted(path)) };
  }
  const chosen = chooseGraphs(name, graphs, dtype, device);
  const isWanted = (path: string) =>
    textFiles.has(path) || chosen.paths.some((graph) => path === graph || isDataOf(graph, path));
  return { dtype: chosen.dtype, files: safe.filter(({ path }) => isWanted(path)) };
}

function chooseGraphs(name: string, graphs: readonly string[], dtype: string, device: string) {
  const top = graphs.filter((path) => ["onnx", "."].includes(dirname(path)));
  try {
    const { files, dtype: found } = chooseAmong(name, top.sort(), dtype, device);
    const { encoderFile, mergedFile, decoderFile, decoderWithPastFile } = files;
    const paths = [encoderFile, mergedFile, decoderFile, decoderWithPastFile].filter((path) => path !== null);
    return { paths, dtype: found };
  } catch (error) {
    throw new HubRefusal((error as Error).message, { cause: error });
  }
}

/** Optimum's encoder_model.onnx_data, torch's encoder_model.onnx.data, onnx' own encoder_model.data, and their numbered parts. */
function isDataOf(graph: string, path: string): boolean {
  if (dirname(path) !== dirname(graph)) return false;
  const [stem, name] = [basename(graph, ".onnx"), basename(path)];
  return name.startsWith(`${stem}.onnx_data`) || name.startsWith(`${stem}.onnx.data`) || name === `${stem}.data`;
}

/** A repository is somebody else's: no path of it leads out of the folder or to a hidden file. */
export function isInside(path: string): boolean {
  return posix.normalize(path) === path && !/(^|[/\\])\.|^\/|\\|^[a-z]:/iu.test(path);
}

function describeOtherWeights(files: readonly HubFile[]): string {
  const weights = files
    .map(({ path }) => path)
    .filter((path) => /\.(safetensors|bin|h5|msgpack|gguf|ot|pt)$/u.test(path));
  const found = weights.length === 0 ? "" : `found ${weights.slice(0, 4).join(", ")}; `;
  return `${found}export it (docs/command.md), or look for the same model of onnx-community or Xenova`;
}
