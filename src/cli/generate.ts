// `seqserve generate text`: one text by the rules of POST /generate, with the model in this process and no HTTP between.
//
//   text ──▶ parts (one model) ──▶ checks of /generate ──▶ queue ──▶ tokens ──▶ standard output
import { Ajv } from "ajv";
import { ConfigError, type Config, type GenerateCommand } from "../config/config.js";
import { AppError } from "../errors.js";
import type { GenerationEvent } from "../generation.js";
import { foldersIn } from "../inference/catalog/catalog.js";
import { ParametersSchema, type Parameters } from "../parameters.js";
import { prepareGeneration } from "../routes/generate/prepare.js";
import { answerBody, checkedRequests } from "../routes/generate/routes.js";
import { closeAll, readEnd, submitAll } from "../routes/generate/run.js";
import { GenerateRequestSchema, type Answer, type GenerateBody } from "../routes/generate/schemas.js";
import { ajvOptions, validationError } from "../routes/http/validation-message.js";
import { createLog } from "../telemetry/log.js";
import { connect, type Parts } from "../wiring/parts.js";
import { withProgress } from "./progress.js";
import { terminal, type Output } from "./terminal.js";

const exitCodes = { SIGINT: 130, SIGTERM: 143 } as const;
const signals = ["SIGINT", "SIGTERM"] as const;
type Signal = (typeof signals)[number];

/** The exit code. Throws the one line that says what is wrong. */
export async function generate(command: GenerateCommand, output: Output = terminal): Promise<number> {
  const parameters = readParameters(command.parameters);
  const inputs = command.text ?? (await readStandardInput(output));
  const session = await start(await configOfOneModel(command.config, output), output);
  try {
    if (!isInterrupted(session)) await answer(session, { inputs, parameters }, command.isJson);
  } catch (error) {
    if (!isInterrupted(session)) throw error instanceof AppError ? new Error(error.message, { cause: error }) : error;
  } finally {
    await stop(session);
  }
  return session.exitCode;
}

interface Session {
  readonly config: Config;
  readonly parts: Parts;
  readonly output: Output;
  readonly onSignal: (name: NodeJS.Signals) => void;
  /** Ends what the engine does. */
  readonly cancel: AbortController;
  /** Of the signal that interrupted it; 0 while none did. */
  exitCode: number;
}

function isInterrupted({ exitCode }: Session): boolean {
  return exitCode !== 0;
}

// One model, alone in this process: keys, roles and bounds that protect a server from others have no place here.
async function configOfOneModel(config: Config, output: Output): Promise<Config> {
  const { pullMissing } = await import("./pull.js");
  const asked = Object.freeze({ ...config, models: config.models.slice(0, 1) });
  const { models, modelsDir } = await pullMissing(asked, (line) => output.printError(`${line}\n`));
  const [first] = models.length > 0 ? models : await foldersIn(modelsDir);
  if (first === undefined) throw new ConfigError(`MODELS_DIR: no model folder in ${modelsDir}`);
  const alone = { role: "all", redisUrl: null, apiKeys: [], webhookSecret: null, logLevel: "silent" } as const;
  return Object.freeze({
    ...config,
    ...alone,
    otlpEndpoint: null,
    models: [first],
    maxQueuedTokens: 1_000_000_000,
  });
}

async function start(config: Config, output: Output): Promise<Session> {
  const parts = await connect(config, createLog(config, process.stderr));
  const onSignal = (name: NodeJS.Signals) => interrupt(session, name as Signal);
  const session: Session = { config, parts, output, onSignal, cancel: new AbortController(), exitCode: 0 };
  for (const name of signals) process.on(name, onSignal);
  const [model] = config.models;
  await withProgress(parts.inference.ready, { text: () => `loading ${model}`, show: output.note });
  const [info] = parts.inference.models();
  if (info?.state !== "failed") return session;
  await stop(session);
  throw new Error(info.error ?? `${model} failed to load`);
}

// The engine ends its step and goes. Whoever asks twice doesn't want to wait for that: the system ends the process then (exit() under a
// running engine aborts it with a core dump).
function interrupt(session: Session, name: Signal): void {
  for (const signal of signals) process.off(signal, session.onSignal);
  session.exitCode = exitCodes[name];
  session.cancel.abort();
}

async function stop({ parts, onSignal }: Session): Promise<void> {
  await parts.generations.close();
  await parts.queue.close();
  await parts.inference.close();
  parts.metrics.close();
  for (const signal of signals) process.off(signal, onSignal);
}

async function answer(session: Session, sent: GenerateBody, isJson: boolean): Promise<void> {
  const { parts, output, cancel } = session;
  const isWhole = isJson || comesWhole(sent.parameters ?? {});
  const [request] = checkedRequests(session, { body: checkedBody(sent) }, !isWhole);
  if (request === undefined) throw new Error("no text");
  const generation = await prepareGeneration(parts.inference, request);
  const iterators = await submitAll(parts.queue, [generation], cancel.signal);
  const [iterator] = iterators;
  if (iterator === undefined) throw new Error("no generation for the text");
  try {
    if (!isWhole) return await printTokens(session, iterator);
    const whole = answerBody(parts, request.parameters, { generation, end: await readEnd(iterator) });
    await output.print(isJson ? `${JSON.stringify(whole)}\n` : `${textLines(whole).join("\n")}\n`);
  } finally {
    // As after a client that has left: what still runs must not be waited for.
    cancel.abort();
    await closeAll(iterators);
  }
}

async function printTokens(session: Session, iterator: AsyncIterator<GenerationEvent>): Promise<void> {
  const { output } = session;
  let hasPrinted = false;
  try {
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
      if (isInterrupted(session)) break;
      if (next.value.type !== "token") continue;
      hasPrinted = true;
      await output.print(next.value.text);
    }
  } finally {
    // A shell's prompt stands on a line of its own, also after half a text, whether the generation broke off or was interrupted.
    if (hasPrinted) await output.print("\n");
  }
  if (!hasPrinted && !isInterrupted(session)) await output.print("\n");
}

/** What a stream can't bring in order, or not at all. */
function comesWhole(parameters: Parameters): boolean {
  const {
    num_return_sequences: returned,
    best_of: best,
    return_full_text: full,
    decoder_input_details: prefill,
  } = parameters;
  return Number(returned ?? 1) > 1 || Number(best ?? 1) > 1 || full === true || prefill === true;
}

function textLines({ generated_text: first, outputs: [, ...others] }: Answer): string[] {
  return [first, ...others.map(({ text }) => text)];
}

/** As the server checks a body. Throws AppError "validation". */
function checkedBody(body: GenerateBody): GenerateBody {
  const isValid = new Ajv({ ...ajvOptions, schemas: [ParametersSchema] }).compile(GenerateRequestSchema);
  if (isValid(body)) return body;
  throw validationError(isValid.errors ?? [], "body");
}

function readParameters(text: string | null): Parameters {
  if (text === null) return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new ConfigError(`--parameters: not JSON: ${(error as Error).message}`, { cause: error });
  }
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  if (!isObject) throw new ConfigError('--parameters: must be an object, as in {"num_beams":4}');
  return value as Parameters;
}

async function readStandardInput({ note }: Output): Promise<string> {
  if (process.stdin.isTTY) note("reading the text from the terminal: Ctrl-D ends it");
  const parts: Buffer[] = [];
  for await (const part of process.stdin) parts.push(part as Buffer);
  const text = Buffer.concat(parts)
    .toString("utf8")
    .replace(/\r?\n$/u, "");
  if (text === "") throw new ConfigError("generate: no text: give one, or pipe one in");
  return text;
}
