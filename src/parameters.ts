// Every decoding option a client may send: names of transformers' GenerationConfig (snake_case) plus TGI's, with bounds and meaning.
// One TypeBox schema makes the validation, the types and the API document.
import { Type, type Static } from "typebox";

export const ParametersSchema = Type.Object({}, { additionalProperties: false });
export type Parameters = Static<typeof ParametersSchema>;
