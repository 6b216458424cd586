// Reads a sentencepiece model (.spm, .model): pieces, trainer and normaliser settings.
// Format: google/sentencepiece 0.2, src/sentencepiece_model.proto; field numbers are those of that file.
import { BinaryReader } from "@bufbuild/protobuf/wire";

export const pieceTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;
export const modelTypes = { unigram: 1, bpe: 2, word: 3, char: 4 } as const;

export interface Piece {
  readonly text: string;
  /** float32; log-probability (unigram) or minus the rank of the merge (BPE). */
  readonly score: number;
  readonly type: number;
}

export interface NormalizerSpec {
  readonly charsmap: Uint8Array;
  readonly addDummyPrefix: boolean;
  readonly removeExtraWhitespaces: boolean;
  readonly escapeWhitespaces: boolean;
}

export interface SentencePieceFile {
  /** By id. */
  readonly pieces: readonly Piece[];
  readonly modelType: number;
  readonly byteFallback: boolean;
  readonly whitespaceAsSuffix: boolean;
  readonly unkId: number;
  readonly unkPiece: string;
  /** What decoding writes for an unknown piece. */
  readonly unkSurface: string;
  readonly normalizer: NormalizerSpec;
}

/** Throws one line that names the path for bytes that are no sentencepiece model. */
export function readSentencePieceFile(bytes: Uint8Array, path: string): SentencePieceFile {
  try {
    const file = parseModel(bytes);
    if (file.pieces.length > 0) return file;
  } catch (error) {
    throw new Error(`${path}: not a sentencepiece model: ${(error as Error).message}`, { cause: error });
  }
  throw new Error(`${path}: not a sentencepiece model: it has no pieces`);
}

function parseModel(bytes: Uint8Array): SentencePieceFile {
  const pieces: Piece[] = [];
  let trainer: TrainerFields = trainerDefaults;
  let normalizer: NormalizerSpec = normalizerDefaults;
  eachField(bytes, {
    1: (reader) => pieces.push(parsePiece(reader.bytes())),
    2: (reader) => (trainer = parseTrainer(reader.bytes())),
    3: (reader) => (normalizer = parseNormalizer(reader.bytes())),
  });
  return { pieces, normalizer, ...trainer };
}

function parsePiece(bytes: Uint8Array): Piece {
  const piece = { text: "", score: 0, type: pieceTypes.normal as number };
  eachField(bytes, {
    1: (reader) => (piece.text = reader.string()),
    2: (reader) => (piece.score = reader.float()),
    3: (reader) => (piece.type = reader.int32()),
  });
  return piece;
}

type TrainerFields = Omit<SentencePieceFile, "pieces" | "normalizer">;

const trainerDefaults: TrainerFields = {
  modelType: modelTypes.unigram,
  byteFallback: false,
  whitespaceAsSuffix: false,
  unkId: 0,
  unkPiece: "<unk>",
  unkSurface: " \u2047 ",
};

function parseTrainer(bytes: Uint8Array): TrainerFields {
  const fields = { ...trainerDefaults } as { -readonly [K in keyof TrainerFields]: TrainerFields[K] };
  eachField(bytes, {
    3: (reader) => (fields.modelType = reader.int32()),
    24: (reader) => (fields.whitespaceAsSuffix = reader.bool()),
    35: (reader) => (fields.byteFallback = reader.bool()),
    40: (reader) => (fields.unkId = reader.int32()),
    44: (reader) => (fields.unkSurface = reader.string()),
    45: (reader) => (fields.unkPiece = reader.string()),
  });
  return fields;
}

const normalizerDefaults: NormalizerSpec = {
  charsmap: new Uint8Array(),
  addDummyPrefix: true,
  removeExtraWhitespaces: true,
  escapeWhitespaces: true,
};

function parseNormalizer(bytes: Uint8Array): NormalizerSpec {
  const spec = { ...normalizerDefaults } as { -readonly [K in keyof NormalizerSpec]: NormalizerSpec[K] };
  eachField(bytes, {
    2: (reader) => (spec.charsmap = reader.bytes()),
    3: (reader) => (spec.addDummyPrefix = reader.bool()),
    4: (reader) => (spec.removeExtraWhitespaces = reader.bool()),
    5: (reader) => (spec.escapeWhitespaces = reader.bool()),
  });
  return spec;
}

type FieldReaders = Readonly<Record<number, (reader: BinaryReader) => void>>;

function eachField(bytes: Uint8Array, readers: FieldReaders): void {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    const read = readers[field];
    if (read === undefined) reader.skip(wireType, field);
    else read(reader);
  }
}
