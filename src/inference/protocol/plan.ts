// What a folder's files are for: made by inference/catalog from names and manifest, read by the engine. Absolute paths, plain JSON.

/** An encoder of a manifest's folder: tensor names by role. Exactly one of ids and onehot. */
export interface EncoderPlan {
  readonly file: string;
  /** Ids are [S, B]; null: to be found out. */
  readonly timeFirst: boolean | null;
  readonly inputs: {
    readonly ids: string | null;
    readonly onehot: string | null;
    readonly mask: string | null;
    readonly lengths: string | null;
  };
  readonly outputs: {
    readonly memory: string | null;
    readonly mask: string | null;
    readonly states: readonly string[];
  };
}

/** Scores over the vocabulary and what they are. */
type ScoresPlan = {
  readonly scores: string;
  readonly scoresAre: "logits" | "logprobs" | "probs";
  readonly attention: string | null;
};

/** A recurrent decoder: states pair with the encoder's by position, feed with its own outputs of the step before. */
export interface RecurrentDecoderPlan {
  readonly file: string;
  /** Ids are [T, B]; null: to be found out. */
  readonly timeFirst: boolean | null;
  readonly inputs: {
    readonly ids: string | null;
    readonly onehot: string | null;
    readonly memory: string | null;
    readonly mask: string | null;
    readonly states: readonly string[];
    readonly feed: readonly string[];
  };
  readonly outputs: ScoresPlan & { readonly states: readonly string[]; readonly feed: readonly string[] };
}

/** A decoder without a cache: it is given the whole target so far. */
export interface StatelessDecoderPlan {
  readonly file: string;
  /** Ids are [T, B]; null: to be found out. */
  readonly timeFirst: boolean | null;
  readonly inputs: {
    readonly targets: string;
    readonly source: string | null;
    readonly memory: string | null;
    readonly mask: string | null;
  };
  readonly outputs: ScoresPlan;
}

/** How sources of unlike length become one rectangle. */
export interface SourcePlan {
  /** null: nothing stands there (a one-hot row of zeros, id 0). */
  readonly padId: number | null;
  readonly padSide: "left" | "right";
  readonly padTo: number | null;
  /** Ids that sources may hold; null when not known. */
  readonly vocabSize: number | null;
}

export interface RecurrentPlan {
  readonly layout: "recurrent";
  readonly encoder: EncoderPlan;
  readonly decoder: RecurrentDecoderPlan;
  readonly source: SourcePlan;
  readonly padId: number;
}

export interface StatelessPlan {
  readonly layout: "stateless";
  /** null: one single graph. */
  readonly encoder: EncoderPlan | null;
  readonly decoder: StatelessDecoderPlan;
  readonly source: SourcePlan;
  /** Fills short targets. */
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
  /** Which cross-attention the manifest wants handed out; null: the usual one. */
  readonly attention: WantedAlignment | null;
  /** Ids that the encoder knows; null when config.json doesn't say. */
  readonly sourceVocabSize: number | null;
  /** Sources on which int8 is held against fp32. */
  readonly int8Check: Int8Check | null;
}

export type ModelPlan = RecurrentPlan | StatelessPlan | TransformerPlan;

/** The decoder layer, counted from 0, and the heads whose mean is handed out. */
export interface Alignment {
  readonly layer: number;
  readonly heads: readonly number[];
}

/** What a manifest may say; heads absent: all. */
export interface WantedAlignment {
  readonly layer: number;
  readonly heads?: readonly number[];
}

/** Every graph that the plan opens. */
export function planFiles(plan: ModelPlan): string[] {
  switch (plan.layout) {
    case "recurrent":
      return [plan.encoder.file, plan.decoder.file];
    case "transformer": {
      const { encoderFile, mergedFile, decoderFile, decoderWithPastFile } = plan;
      return [encoderFile, mergedFile, decoderFile, decoderWithPastFile].filter((file) => file !== null);
    }
    case "stateless":
      return plan.encoder === null ? [plan.decoder.file] : [plan.encoder.file, plan.decoder.file];
    default:
      throw new Error(`no files known of layout ${(plan satisfies never as ModelPlan).layout}`);
  }
}
