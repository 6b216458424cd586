// `seqserve generate text`: the server's own POST /generate, asked without a socket, so that rules, answers and errors are the same.
//
//   text ──▶ parts (one model) ──▶ app ──inject──▶ events ──▶ standard output
import { buildApp, type BuiltApp } from "../app.js";
import { ConfigError, type Config, type GenerateCommand } from "../config/config.js";
import { foldersIn } from "../inference/catalog/catalog.js";
import { createLog } from "../telemetry/log.js";
import { connect, type Parts } from "../wiring/parts.js";
import { withProgress } from "./progress.js";
import { answerOf, streamOf, type Ask } from "./ask.js";
import { note, print } from "./terminal.js";

const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const;
const signals = ["SIGINT", "SIGTERM"] as const;

export async function generate(command: GenerateCommand): Promise<number> {
  const parameters = parametersOf(command.parameters);
  const inputs = command.text ?? (await textOfStandardInput());
  const config = await ownConfig(command.config);
  const running = await start(config);
  try {
    const { signal } = running.stopped;
    if (!signal.aborted) await answer(running, { inputs, parameters }, command.isJson);
  } catch (error) {
    if (!running.stopped.signal.aborted) throw error;
  } finally {
    await stop(running);
  }
  return running.exitCode;
}

interface Running {
  readonly parts: Parts;
  readonly built: BuiltApp;
  /** Aborted by Ctrl-C. */
  readonly stopped: AbortController;
  exitCode: number;
}

// One model, alone in this process: keys, roles and bounds that protect a server from others have no place here.
async function ownConfig(config: Config): Promise<Config> {
  const { withPulledModels } = await import("./pull.js");
  const asked = Object.freeze({ ...config, models: config.models.slice(0, 1) });
  const { models, modelsDir } = await withPulledModels(asked, (line) => void process.stderr.write(`${line}\n`));
  const [first] = models.length > 0 ? models : await foldersIn(modelsDir);
  if (first === undefined) throw new ConfigError(`MODELS_DIR: no model folder in ${modelsDir}`);
  const alone = { role: "all", redisUrl: null, apiKeys: [], webhookSecret: null, logLevel: "silent" } as const;
  const untraced = { otlpEndpoint: null };
  return Object.freeze({
    ...config,
    ...alone,
    ...untraced,
    models: [first],
    bodyLimit: 1 << 28,
    maxQueuedTokens: 1_000_000_000,
  });
}

async function start(config: Config): Promise<Running> {
  const parts = await connect(config, createLog(config, process.stderr));
  const built = await buildApp(config, parts);
  const running = { parts, built, stopped: new AbortController(), exitCode: 0 };
  for (const name of signals) process.on(name, () => interrupt(running, name));
  const [model] = config.models;
  await withProgress(parts.inference.ready, { text: () => `loading ${model}`, show: note });
  const [info] = parts.inference.models();
  if (info?.state !== "failed") return running;
  await stop(running);
  throw new Error(info.error ?? `${model} failed to load`);
}

// The engine ends its step and goes. Whoever asks twice doesn't want to wait for that: the system ends the process then (exit() under a
// running engine aborts it with a core dump).
function interrupt(running: Running, name: keyof typeof exitCodes): void {
  for (const signal of signals) process.removeAllListeners(signal);
  running.exitCode = exitCodes[name];
  running.stopped.abort();
  void running.built.lifetime.drain(0);
}

async function stop({ parts, built }: Running): Promise<void> {
  await built.lifetime.drain(0);
  await parts.generations.close();
  await built.app.close();
  await parts.queue.close();
  await parts.inference.close();
  parts.metrics.close();
}

async function answer({ built, stopped }: Running, ask: Ask, isJson: boolean): Promise<void> {
  if (isJson) return print(`${(await answerOf(built.app, ask)).text}\n`);
  if (comesWhole(ask.parameters)) {
    const { answer: whole } = await answerOf(built.app, ask);
    const [, ...others] = whole.outputs;
    return print(`${[whole.generated_text, ...others.map(({ text }) => text)].join("\n")}\n`);
  }
  let isBegun = false;
  try {
    for await (const text of streamOf(built.app, ask)) {
      if (stopped.signal.aborted) break;
      isBegun = true;
      await print(text);
    }
  } finally {
    // A shell's prompt stands on a line of its own, also after half a text, whether the stream broke off or said why it ends.
    if (isBegun) await print("\n");
  }
  if (!isBegun && !stopped.signal.aborted) await print("\n");
}

/** What a stream can't bring in order, or not at all. */
function comesWhole(parameters: Ask["parameters"]): boolean {
  const {
    num_return_sequences: returned,
    best_of: best,
    return_full_text: full,
    decoder_input_details: prefill,
  } = parameters;
  return Number(returned ?? 1) > 1 || Number(best ?? 1) > 1 || full === true || prefill === true;
}

function parametersOf(text: string | null): Ask["parameters"] {
  if (text === null) return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ConfigError(`--parameters: not JSON: ${(error as Error).message}`, { cause: error });
  }
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  if (!isObject) throw new ConfigError('--parameters: must be an object, as in {"num_beams":4}');
  return value as Ask["parameters"];
}

async function textOfStandardInput(): Promise<string> {
  if (process.stdin.isTTY) note("reading the text from the terminal: Ctrl-D ends it");
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(part as Buffer);
  const text = Buffer.concat(parts)
    .toString("utf8")
    .replace(/\r?\n$/u, "");
  if (text === "") throw new ConfigError("generate: no text: give one, or pipe one in");
  return text;
}
