// Which graphs of a transformer folder play which role, and why: Optimum's and transformers.js' names with every dtype suffix, under onnx/ or
// at the top. Only names are read.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";

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
  const wanted = dtype === "fp32" || dtype === "auto" ? "" : `_${dtype}`;
  const sets = [...new Set([...suffixes, wanted])].flatMap((suffix) => completeSet(folder, suffix) ?? []);
  const exact = sets.find(({ suffix }) => suffix === "");
  // The files' own int8 serves only where there are none to make ours from.
  if (dtype === "int8" && exact !== undefined) return { files: exact, makesInt8: true, dtype: "int8", why: "" };
  const files = dtype === "auto" ? preferred(sets, device) : sets.find(({ suffix }) => suffix === wanted);
  if (files === undefined) throw new Error(complaint(folder, dtype, wanted, sets));
  return { files, makesInt8: false, dtype: dtypeOf(files), why: dtype === "auto" ? reasonFor(files, sets) : "" };
}

// Half precision is what a GPU is fast in.
function preferred(sets: readonly TransformerFiles[], device: string): TransformerFiles | undefined {
  const half = device.startsWith("cuda") ? sets.find(({ suffix }) => suffix === "_fp16") : undefined;
  return half ?? sets[0];
}

function reasonFor(chosen: TransformerFiles, sets: readonly TransformerFiles[]): string {
  const others = sets.filter((set) => set !== chosen).map(dtypeOf);
  if (others.length === 0) return "";
  const reason = chosen.suffix === "" ? "the exact files" : "what loses least on this device";
  return `${dtypeOf(chosen)} files: DTYPE auto takes ${reason}; also there: ${others.join(", ")}`;
}

function dtypeOf({ suffix }: TransformerFiles): string {
  return suffix.slice(1) || "fp32";
}

function placesOf(folder: string): string[] {
  return [join(folder, "onnx"), folder];
}

function completeSet(folder: string, suffix: string): TransformerFiles | undefined {
  return placesOf(folder)
    .map((place) => setIn(place, suffix))
    .find((set) => set !== undefined);
}

// A merged decoder holds both halves with their weights once; transformers.js ships nothing else.
function setIn(place: string, suffix: string): TransformerFiles | undefined {
  const find = (stem: string): string | null => {
    const path = join(place, `${stem}${suffix}.onnx`);
    return existsSync(path) ? path : null;
  };
  const encoderFile = find("encoder_model");
  if (encoderFile === null) return undefined;
  const mergedFile = find("decoder_model_merged");
  if (mergedFile !== null) return { suffix, encoderFile, mergedFile, decoderFile: null, decoderWithPastFile: null };
  const [decoderFile, decoderWithPastFile] = [find("decoder_model"), find("decoder_with_past_model")];
  if (decoderFile === null || decoderWithPastFile === null) return undefined;
  return { suffix, encoderFile, mergedFile, decoderFile, decoderWithPastFile };
}

function complaint(folder: string, dtype: string, wanted: string, sets: readonly TransformerFiles[]): string {
  const names = placesOf(folder).flatMap(graphNames);
  const found = `found ${names.slice(0, 12).join(", ") || "no .onnx file"}`;
  const hasEncoder = (suffix: string): boolean => names.includes(`encoder_model${suffix}.onnx`);
  const halfway = dtype === "auto" ? suffixes.find(hasEncoder) : hasEncoder(wanted) ? wanted : undefined;
  if (halfway !== undefined) {
    const both = `decoder_model${halfway}.onnx with decoder_with_past_model${halfway}.onnx`;
    return `${folder}: decoder: expected decoder_model_merged${halfway}.onnx, or ${both}; ${found}`;
  }
  if (sets.length > 0) {
    return `${folder}: DTYPE ${dtype}: expected encoder_model${wanted}.onnx, found ${sets.map(dtypeOf).join(", ")}`;
  }
  return `${folder}: encoder: expected encoder_model${wanted}.onnx (or a seqserve.json that names the graphs); ${found}`;
}

function graphNames(place: string): string[] {
  if (!existsSync(place)) return [];
  return readdirSync(place)
    .filter((name) => name.endsWith(".onnx"))
    .sort();
}
