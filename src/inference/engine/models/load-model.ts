// From a plan to a running model: the one place that knows all layouts.
import type { ModelPlan } from "../../protocol/plan.js";
import { loadRecurrent } from "./manifest/load-recurrent.js";
import { loadStateless } from "./manifest/load-stateless.js";
import type { LoadedModel } from "./model.js";
import type { SessionOptions } from "./onnx-session.js";
import { loadTransformer } from "./transformer/load-transformer.js";

/** Throws an Error whose message is one line for the user. */
export async function loadModel(plan: ModelPlan, options: SessionOptions): Promise<LoadedModel> {
  switch (plan.layout) {
    case "recurrent":
      return loadRecurrent(plan, options);
    case "stateless":
      return loadStateless(plan, options);
    case "transformer":
      return loadTransformer(plan, options);
    default:
      throw new Error(`no engine for layout ${(plan satisfies never as ModelPlan).layout}`);
  }
}
