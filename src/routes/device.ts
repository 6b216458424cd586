// What models run on, as /info and /health tell it.
import { Type, type Static } from "typebox";
import type { ChosenDevice } from "../inference/device/choose-device.js";
import { nullable } from "./http/schemas.js";

export const DeviceSchema = Type.Object(
  {
    name: Type.String({ description: "cpu or cuda:<number>" }),
    reason: Type.Unsafe<ChosenDevice["reason"]>({
      type: "string",
      enum: ["asked", "found", "dtype", "platform", "device", "driver", "package", "libraries", "trial"],
      description:
        "asked: DEVICE names it; found: DEVICE=auto found CUDA; dtype: DTYPE is made for CPUs; else the first thing that it lacked.",
    }),
    why: nullable("string", "Why DEVICE=auto took the CPU: all that is missing."),
  },
  { $id: "Device", description: "What models of this process run on." },
);

export function deviceBody({ device, reason, why }: ChosenDevice): Static<typeof DeviceSchema> {
  return { name: device, reason, why };
}
