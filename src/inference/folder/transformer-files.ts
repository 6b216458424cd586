// Which graphs of a transformer folder play which role, and why: Optimum's and transformers.js' names with every dtype suffix, under onnx/ or
// at the top. Only names are read: of a folder, or of a repository that is to be pulled (hub/).
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { int8Fault, isCuda, preferredSuffix } from "../protocol/precision.js";

/** Paths of one dtype. A merged decoder stands for both halves. */
export interface TransformerFiles {
  /** "" for fp32, else with its underscore. */
  readonly suffix: string;
  readonly encoderFile: string;
  readonly mergedFile: string | null;
  readonly decoderFile: string | null;
  readonly decoderWithPastFile: string | null;
}

export interface ChosenFiles {
  readonly files: TransformerFiles;
  /** int8 is to be made by us from these. */
  readonly makesInt8: boolean;
  /** What DTYPE calls it. */
  readonly dtype: string;
  /** One sentence where "auto" had a choice; else "". */
  readonly why: string;
}

/** Exact first, then the ones that lose least: the order in which "auto" takes them. */
const suffixes = ["", "_fp16", "_int8", "_quantized", "_uint8", "_q4f16", "_q4", "_bnb4"];

/** Throws one line that names folder, role, what was expected and what was found. */
export function chooseFiles(folder: string, dtype: string, device = "cpu"): ChosenFiles {
  const chosen = chooseAmong(
    folder,
    places.flatMap((place) => graphPaths(folder, place)),
    dtype,
    device,
  );
  const { suffix, encoderFile, ...decoders } = chosen.files;
  const { mergedFile, decoderFile, decoderWithPastFile } = decoders;
  const inFolder = (path: string | null): string | null => (path === null ? null : join(folder, path));
  const files = {
    suffix,
    encoderFile: join(folder, encoderFile),
    mergedFile: inFolder(mergedFile),
    decoderFile: inFolder(decoderFile),
    decoderWithPastFile: inFolder(decoderWithPastFile),
  };
  return { ...chosen, files };
}

/** The same of these paths (of graphs, with "/"), which stay as they are. `owner` begins the message. */
export function chooseAmong(owner: string, paths: readonly string[], dtype: string, device = "cpu"): ChosenFiles {
  const wanted = dtype === "fp32" || dtype === "auto" ? "" : `_${dtype}`;
  const sets = [...new Set([...suffixes, wanted])].flatMap((suffix) => completeSet(paths, suffix) ?? []);
  const exact = sets.find(({ suffix }) => suffix === "");
  // The files' own int8 serves only where there are none to make ours from.
  if (dtype === "int8" && exact !== undefined) return madeInt8(owner, exact, device);
  const files = dtype === "auto" ? preferredSet(sets, device) : sets.find(({ suffix }) => suffix === wanted);
  if (files === undefined) throw new Error(missingFilesLine(owner, paths, dtype, wanted, sets));
  return {
    files,
    makesInt8: false,
    dtype: dtypeOf(files),
    why: dtype === "auto" ? reasonFor(files, sets, device) : "",
  };
}

function madeInt8(owner: string, files: TransformerFiles, device: string): ChosenFiles {
  const fault = int8Fault(device);
  if (fault !== null) throw new Error(`${owner}: DTYPE int8: ${fault}`);
  return { files, makesInt8: true, dtype: "int8", why: "" };
}

function preferredSet(sets: readonly TransformerFiles[], device: string): TransformerFiles | undefined {
  return sets.find(({ suffix }) => suffix === preferredSuffix(device)) ?? sets[0];
}

function reasonFor(chosen: TransformerFiles, sets: readonly TransformerFiles[], device: string): string {
  const others = sets.filter((set) => set !== chosen).map(dtypeOf);
  if (others.length === 0) return "";
  const isFast = chosen.suffix === "_fp16" && isCuda(device);
  const reason = chosen.suffix === "" ? "the exact files" : isFast ? "what a GPU is fast in" : "what loses least";
  return `${dtypeOf(chosen)} files: DTYPE auto takes ${reason}; also there: ${others.join(", ")}`;
}

function dtypeOf({ suffix }: TransformerFiles): string {
  return suffix.slice(1) || "fp32";
}

/** Where graphs lie. The first is transformers.js'. */
const places = ["onnx/", ""];

function completeSet(paths: readonly string[], suffix: string): TransformerFiles | undefined {
  return places.map((place) => setIn(paths, place, suffix)).find((set) => set !== undefined);
}

// A merged decoder holds both halves with their weights once; transformers.js ships nothing else.
function setIn(paths: readonly string[], place: string, suffix: string): TransformerFiles | undefined {
  const find = (stem: string): string | null => {
    const path = `${place}${stem}${suffix}.onnx`;
    return paths.includes(path) ? path : null;
  };
  const encoderFile = find("encoder_model");
  if (encoderFile === null) return undefined;
  const mergedFile = find("decoder_model_merged");
  if (mergedFile !== null) return { suffix, encoderFile, mergedFile, decoderFile: null, decoderWithPastFile: null };
  const [decoderFile, decoderWithPastFile] = [find("decoder_model"), find("decoder_with_past_model")];
  if (decoderFile === null || decoderWithPastFile === null) return undefined;
  return { suffix, encoderFile, mergedFile, decoderFile, decoderWithPastFile };
}

function missingFilesLine(
  owner: string,
  paths: readonly string[],
  dtype: string,
  wanted: string,
  sets: readonly TransformerFiles[],
): string {
  const names = paths.map((path) => path.replace(/^onnx\//u, ""));
  const found = `found ${names.slice(0, 12).join(", ") || "no .onnx file"}`;
  const hasEncoder = (suffix: string): boolean => names.includes(`encoder_model${suffix}.onnx`);
  const halfway = dtype === "auto" ? suffixes.find(hasEncoder) : hasEncoder(wanted) ? wanted : undefined;
  if (halfway !== undefined) {
    const both = `decoder_model${halfway}.onnx with decoder_with_past_model${halfway}.onnx`;
    return `${owner}: decoder: expected decoder_model_merged${halfway}.onnx, or ${both}; ${found}`;
  }
  if (sets.length > 0) {
    return `${owner}: DTYPE ${dtype}: expected encoder_model${wanted}.onnx, found ${sets.map(dtypeOf).join(", ")}`;
  }
  return `${owner}: encoder: expected encoder_model${wanted}.onnx (or a seqserve.json that names the graphs); ${found}`;
}

function graphPaths(folder: string, place: string): string[] {
  if (!existsSync(join(folder, place))) return [];
  return readdirSync(join(folder, place))
    .filter((name) => name.endsWith(".onnx"))
    .sort()
    .map((name) => `${place}${name}`);
}
