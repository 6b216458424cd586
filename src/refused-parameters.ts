// Options of transformers and TGI that this server knows and does not do. Each is accepted with the value that means "off"
// (clients send those by habit) and refused by name with any other: never silently ignored.
import { Type } from "typebox";

interface Refusal {
  /** The values that change nothing; null is always one. */
  readonly off: readonly (number | boolean)[];
  /** What the client reads. */
  readonly reason: string;
}

const refusals = {
  watermark: { off: [false], reason: "watermarks are not supported" },
  grammar: { off: [], reason: "grammars are not supported" },
  adapter_id: { off: [], reason: "adapters are not supported: export the merged model and name it with `model`" },
  frequency_penalty: { off: [0], reason: "not supported: use repetition_penalty or no_repeat_ngram_size" },
  presence_penalty: { off: [0], reason: "not supported: use repetition_penalty or no_repeat_ngram_size" },
  num_beam_groups: { off: [1], reason: "diverse beam search is not supported" },
  diversity_penalty: { off: [0], reason: "diverse beam search is not supported" },
  penalty_alpha: { off: [0], reason: "contrastive search is not supported" },
  guidance_scale: { off: [1], reason: "classifier-free guidance is not supported" },
  constraints: { off: [], reason: "constrained beam search is not supported" },
  force_words_ids: { off: [], reason: "constrained beam search is not supported" },
  assistant_model: { off: [], reason: "assisted generation is not supported" },
  prompt_lookup_num_tokens: { off: [0], reason: "assisted generation is not supported" },
  assistant_early_exit: { off: [0], reason: "assisted generation is not supported" },
  dola_layers: { off: [], reason: "DoLa decoding is not supported" },
  renormalize_logits: { off: [false], reason: "not supported: scores are not normalised again after the processors" },
  remove_invalid_values: {
    off: [false],
    reason: "not supported: a model that gives NaN ends the request with an error",
  },
  use_cache: { off: [true], reason: "the cache is always used" },
  max_time: { off: [], reason: "not supported: use timeout_ms (milliseconds)" },
  stop_strings: { off: [], reason: "not supported: use stop" },
  stop_sequences: { off: [], reason: "not supported: use stop" },
  eos_token_id: { off: [], reason: "the model decides its end tokens" },
  pad_token_id: { off: [], reason: "the model decides its padding" },
  decoder_start_token_id: { off: [], reason: "not supported: begin with decoder_input_ids" },
} as const satisfies Record<string, Refusal>;

type RefusedName = keyof typeof refusals;

/** Why a value of this option is refused, or null when the option is not one of these. */
export function refusalReason(name: string): string | null {
  return Object.hasOwn(refusals, name) ? refusals[name as RefusedName].reason : null;
}

function schemaOf({ off, reason }: Refusal) {
  return Type.Optional(
    Type.Unsafe<boolean | number>({ enum: [...off, null], description: `Only its "off" value: ${reason}.` }),
  );
}

type RefusedSchema = ReturnType<typeof schemaOf>;

/** Properties for ParametersSchema. */
export const refused = Object.fromEntries(
  Object.entries(refusals).map(([name, refusal]) => [name, schemaOf(refusal)]),
) as Record<RefusedName, RefusedSchema>;
