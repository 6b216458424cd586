// What a folder's files are for: made by inference/catalog from names and manifest, read by the engine. Absolute paths, plain JSON.

/** Names of a recurrent encoder's tensors by role. */
export interface RecurrentEncoderPlan {
  readonly file: string;
  readonly inputs: { readonly ids: string; readonly mask: string | null; readonly lengths: string | null };
  readonly outputs: { readonly memory: string | null; readonly states: readonly string[] };
}

/** Names of a recurrent decoder's tensors by role; states pair with the encoder's by position. */
export interface RecurrentDecoderPlan {
  readonly file: string;
  readonly inputs: {
    readonly ids: string;
    readonly memory: string | null;
    readonly mask: string | null;
    readonly states: readonly string[];
  };
  readonly outputs: {
    readonly scores: string;
    readonly scoresAre: "logits" | "logprobs" | "probs";
    readonly states: readonly string[];
    readonly attention: string | null;
  };
}

export interface RecurrentPlan {
  readonly layout: "recurrent";
  readonly encoder: RecurrentEncoderPlan;
  readonly decoder: RecurrentDecoderPlan;
  readonly padId: number;
}

export interface Int8Check {
  readonly sources: readonly (readonly number[])[];
  /** The decoder's first input. */
  readonly startId: number;
  readonly eosIds: readonly number[];
}

/** An Optimum or transformers.js export. A merged file stands for both decoder files. */
export interface TransformerPlan {
  readonly layout: "transformer";
  readonly encoderFile: string;
  readonly decoderFile: string | null;
  readonly decoderWithPastFile: string | null;
  readonly mergedFile: string | null;
  readonly padId: number;
  /** "int8": made by us from these files; "stored": whatever the files hold. */
  readonly dtype: "stored" | "int8";
  /** Where compiled graphs are kept. */
  readonly cacheDir: string;
  /** relative_attention_max_distance of config.json. */
  readonly maxDistance: number | null;
  /** Ids that the encoder knows; null when config.json doesn't say. */
  readonly sourceVocabSize: number | null;
  /** Sources on which int8 is held against fp32. */
  readonly int8Check: Int8Check | null;
}

export type ModelPlan = RecurrentPlan | TransformerPlan;
