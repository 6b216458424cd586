// The session that makes several greedy steps of a recurrent decoder in one run, built in memory from the decoder's own file.
import { toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { GraphView } from "../../../onnx/graph.js";
import { externalFiles, readModel } from "../../../onnx/read-model.js";
import { recurrentSteps, type RecurrentParts } from "../../compiler/rewrite/recurrent-steps.js";
import { choseOthers, greedyHolds, stepsNotes } from "../greedy-check.js";
import type { Seq2SeqModel, LoadOptions } from "../model.js";
import { OnnxSession, type SessionOptions } from "../onnx-session.js";
import type { RecurrentDecoderPlan } from "../../../protocol/plan.js";

export type LoopedParts = Omit<RecurrentParts, "scores" | "isOneHot">;

/** Throws an Error that says why it can't be. */
export async function openRecurrentLoop(
  { file, inputs, outputs }: RecurrentDecoderPlan,
  parts: LoopedParts,
  options: SessionOptions,
): Promise<OnnxSession> {
  // Their logarithms may tie where they do not.
  if (outputs.scoresAre === "probs") throw new Error("the scores are probabilities");
  const model = readModel(file);
  if (externalFiles(model).length > 0) throw new Error("the weights lie beside the graph");
  const steps = { ...parts, scores: outputs.scores, isOneHot: inputs.onehot !== null };
  const looped = recurrentSteps(new GraphView(model), steps);
  return OnnxSession.open(`${file}, several steps`, options, toBinary(ModelProtoSchema, looped));
}

interface LoopParts {
  readonly open: () => Promise<OnnxSession>;
  readonly use: (loop: { readonly session: OnnxSession; readonly most: number } | null) => void;
  /** So many ids that the encoder takes. */
  readonly idsOf: (count: number) => readonly number[];
}

/** Several steps a run where that was asked for and they choose the same. The note says so, or why not. */
export async function settleLoop(model: Seq2SeqModel, options: LoadOptions, parts: LoopParts): Promise<string[]> {
  const { stepsPerRun: most = 1 } = options;
  if (most === 1) return [];
  let session: OnnxSession | null = null;
  try {
    session = await parts.open();
    parts.use({ session, most });
    if (await greedyHolds(model, parts.idsOf)) return stepsNotes(options, most);
    throw new Error(choseOthers);
  } catch (error) {
    parts.use(null);
    await session?.close();
    return stepsNotes(options, 1, (error as Error).message);
  }
}

/** So many ids of a source that the encoder takes. */
export function repeated(ids: readonly number[], count: number): number[] {
  return Array.from({ length: count }, (_, index) => ids[index % ids.length] ?? 0);
}
