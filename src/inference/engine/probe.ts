// Load probe: proves that a loaded model runs at all. One source in, one step out, before the first client pays for what is wrong.
import type { Probe } from "../protocol/engine-protocol.js";
import type { Seq2SeqModel } from "./models/model.js";

/** Throws one line when the model does not run or hands out scores that nothing can be chosen from. */
export async function probeModel(model: Seq2SeqModel, probe: Probe): Promise<void> {
  const { encoderFile, decoderFile, lastSourceId } = probe;
  checkIds(probe, model.vocabSize);
  const [memory] = await model.encode([probe.sourceIds]).catch((error: Error) => {
    const at = lastSourceId === null ? "" : `source.vocab: with its last id, ${lastSourceId}, `;
    throw new Error(`${encoderFile}: ${at}the encoder does not run: ${error.message}`, { cause: error });
  });
  if (memory === undefined) throw new Error(`${encoderFile}: the encoder handed out nothing`);
  const row = model.open(memory);
  row.token = probe.startId;
  const scores = await model.step([row], [{ kind: "full" }]).catch((error: Error) => {
    throw new Error(`${decoderFile}: the decoder does not run: ${error.message}`, { cause: error });
  });
  const { logits } = scores.row(0);
  // Minus infinity is how graphs forbid tokens.
  const isUsable = logits.some((value) => Number.isFinite(value)) && !logits.some((value) => Number.isNaN(value));
  if (!isUsable) throw new Error(`${decoderFile}: its scores are not finite numbers: the weights are damaged`);
  model.release([row]);
}

function checkIds({ ids }: Probe, scores: number): void {
  const wrong = ids.find(({ id }) => id >= scores);
  if (wrong !== undefined)
    throw new Error(`${wrong.field}: id ${wrong.id} is outside the ${scores} that the decoder scores`);
}
