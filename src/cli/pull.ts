// `seqserve pull owner/name`: a model of the Hub into MODELS_DIR; and MODEL=owner/name, which does the same before the start.
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError, type Config, type PullCommand } from "../config/config.js";
import { folderName, pullModel, readRecord, type PullProgress } from "../hub/pull.js";
import { PullLines } from "./pull-lines.js";
import { print } from "./terminal.js";

export async function pull({ config, repository, revision }: PullCommand): Promise<number> {
  const { folder, commit, dtype, wasPresent } = await pullWithProgress(repository, config, revision, terminalLines());
  const state = wasPresent ? "was there already" : "pulled";
  await print(`${folder}  ${state}: ${repository} at ${commit.slice(0, 12)}, ${dtype}\n`);
  return 0;
}

/** Pulls what MODEL names as owner/name and is not there yet; the result names folders. */
export async function pullMissing(config: Config, show: (line: string) => void): Promise<Config> {
  const models: string[] = [];
  for (const name of config.models) {
    models.push(name.includes("/") ? await findOrPull(name, config, show) : name);
  }
  return Object.freeze({ ...config, models });
}

// What is there is served without asking the Hub: it may be away, or have something newer.
async function findOrPull(repository: string, config: Config, show: (line: string) => void): Promise<string> {
  const name = asConfigError(() => folderName(repository));
  const folder = join(config.modelsDir, name);
  if ((await stat(folder).catch(() => null)) === null) {
    const { commit, dtype } = await pullWithProgress(repository, config, "main", new PullLines(repository, show, null));
    show(`${folder}: pulled ${repository} at ${commit.slice(0, 12)}, ${dtype}`);
    return name;
  }
  const record = await readRecord(folder);
  if (record !== null && record.repository !== repository)
    throw new ConfigError(`MODEL: ${folder} is ${record.repository}, not ${repository}`);
  return name;
}

async function pullWithProgress(
  repository: string,
  config: Config,
  revision: string,
  progress: PullProgress & { end(): void },
) {
  const { modelsDir, dtype, device, hfEndpoint: endpoint, hfToken: token } = config;
  try {
    return await pullModel({ modelsDir, repository, revision, dtype, device, endpoint, token, progress });
  } catch (error) {
    throw asOneLine(error);
  } finally {
    progress.end();
  }
}

function terminalLines(): PullLines {
  const { stderr } = process;
  const bar = stderr.isTTY ? (line: string) => void stderr.write(`\r${line}\u001B[K`) : null;
  return new PullLines("", (line) => void stderr.write(`${bar === null ? "" : "\r\u001B[K"}${line}\n`), bar);
}

/** A refusal of the Hub, a full disk and a broken connection are no bugs of ours: no stack. */
function asOneLine(error: unknown): Error {
  const { name, message, code } = error as NodeJS.ErrnoException;
  const isKnown = name === "HubRefusal" || code !== undefined || (error as Error).constructor === Error;
  return isKnown ? new Error(message.replaceAll(/\s+/gu, " "), { cause: error }) : (error as Error);
}

function asConfigError<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw new ConfigError(`MODEL: ${(error as Error).message}`, { cause: error });
  }
}
