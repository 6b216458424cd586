// Messages to one worker, besides its jobs: one channel each. A hint only: a lost one is made up for by the cancel flag that each append returns.

export type ControlMessage = { readonly type: "cancel"; readonly id: string };

export function controlChannel(prefix: string, worker: string): string {
  return `${prefix}:worker:${worker}`;
}

export function writeControl(message: ControlMessage): string {
  return JSON.stringify(message);
}

/** Null for what a newer version may have sent. */
export function readControl(text: string): ControlMessage | null {
  try {
    const { type, id } = JSON.parse(text) as Partial<ControlMessage>;
    return type === "cancel" && typeof id === "string" ? { type, id } : null;
  } catch {
    return null;
  }
}
