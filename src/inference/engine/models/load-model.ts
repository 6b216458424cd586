// From a plan to a running model: the one place that knows all layouts.
import { stepsNotes } from "./greedy-check.js";
import type { LoadOptions, LoadedModel } from "./model.js";
import { loadTransformer } from "./transformer/load-transformer.js";
import type { ModelPlan } from "../../protocol/plan.js";
import { RecurrentModel } from "./manifest/recurrent.js";
import { StatelessModel } from "./manifest/stateless.js";

/** Throws an Error whose message is one line for the user. */
export async function loadModel(plan: ModelPlan, options: LoadOptions): Promise<LoadedModel> {
  switch (plan.layout) {
    case "recurrent":
      return RecurrentModel.load(plan, options);
    case "stateless": {
      const { model, notes } = await StatelessModel.load(plan, options);
      return { model, notes: [...notes, ...stepsNotes(options, 1, "the decoder has no cache")] };
    }
    case "transformer":
      return loadTransformer(plan, options);
    default:
      throw new Error(`no engine for layout ${(plan satisfies never as ModelPlan).layout}`);
  }
}
