// Load probe: finds how large an int8 weight may be on this CPU, by asking its own kernels rather than a list of CPUs.
import { toBinary } from "@bufbuild/protobuf";
import { ModelProtoSchema } from "onnx-buf";
import { byteSums, byteSumsModel } from "../../compiler/rewrite/int8.js";
import { OnnxSession, tensor, valueOf, type SessionOptions } from "../onnx-session.js";

// Kernels differ for one row and for several.
const batches = [1, 8];

/** 127 where sums of byte products are exact, else 63. */
export async function weightLimit(options: SessionOptions): Promise<127 | 63> {
  const { input, output, depth, byte, weight } = byteSums;
  const session = await OnnxSession.open("byte sums", options, toBinary(ModelProtoSchema, byteSumsModel()));
  try {
    for (const batch of batches) {
      const bytes = tensor("uint8", new Uint8Array(batch * depth).fill(byte), [batch, depth]);
      const sums = valueOf(await session.run({ [input]: bytes }, [output]), output).data as Int32Array;
      if (sums.some((sum) => sum !== depth * byte * weight)) return 63;
    }
    return 127;
  } finally {
    await session.close();
  }
}
