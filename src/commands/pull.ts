// placeholder
import type { Config, PullCommand } from "../config.js";
export async function pull(_: PullCommand): Promise<number> {
  throw new Error("later");
}
export async function withPulledModels(config: Config, _show: (line: string) => void): Promise<Config> {
  return config;
}
