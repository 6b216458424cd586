// The Hugging Face Hub: what a repository holds, and a file's bytes from any offset on. The only user of @huggingface/hub.
import { downloadFile, listFiles, modelInfo } from "@huggingface/hub";

export interface HubOptions {
  /** HF_ENDPOINT */
  readonly endpoint: string;
  /** HF_TOKEN */
  readonly token: string | null;
}

export interface HubFile {
  /** With "/". */
  readonly path: string;
  readonly bytes: number;
  readonly checksum: Checksum;
}

/** Of the file's content. Small files have Git's checksum of a blob, large ones SHA-256. */
export interface Checksum {
  readonly kind: "sha256" | "git-sha1";
  readonly hex: string;
}

export interface Repository {
  /** owner/name */
  readonly name: string;
  /** The commit of the revision: all files come from it, even when the branch moves on. */
  readonly commit: string;
  readonly files: readonly HubFile[];
}

/** A failure that a retry can't mend; the message is one line for the user. */
export class HubRefusal extends Error {
  override readonly name = "HubRefusal";
}

export class Hub {
  readonly #endpoint: string;
  readonly #token: string | null;

  constructor({ endpoint, token }: HubOptions) {
    this.#endpoint = endpoint.replace(/\/+$/u, "");
    this.#token = token;
  }

  /** Throws HubRefusal when the repository does not exist or may not be read. */
  async repository(name: string, revision: string): Promise<Repository> {
    return this.#read(name, revision).catch((error: unknown) => {
      const { message } = error as Error;
      const isExplained = error instanceof HubRefusal || message.includes(new URL(this.#endpoint).origin);
      throw isExplained ? error : new Error(`${this.#endpoint}: not a Hub's answer: ${message}`);
    });
  }

  async #read(name: string, revision: string): Promise<Repository> {
    const access = { ...this.#access(name, revision), hubUrl: this.#endpoint };
    const { sha } = await modelInfo({ ...access, name, revision, additionalFields: ["sha"] });
    if (typeof sha !== "string" || sha === "") throw new HubRefusal(`${name}: the Hub told no commit of "${revision}"`);
    const files: HubFile[] = [];
    for await (const entry of listFiles({ ...access, repo: name, revision: sha, recursive: true })) {
      if (entry.type !== "file") continue;
      const { path, size, lfs, oid = "" } = entry;
      const checksum = lfs === undefined ? { kind: "git-sha1", hex: oid } : { kind: "sha256", hex: lfs.oid };
      files.push({ path, bytes: size, checksum: checksum as Checksum });
    }
    return { name, commit: sha, files };
  }

  /** The file's bytes from `start` on. Throws HubRefusal, or an Error when the connection breaks. */
  async *bytes({ name, commit }: Repository, { path }: HubFile, start: number): AsyncGenerator<Uint8Array> {
    const source = { repo: name, path, revision: commit, hubUrl: this.#endpoint };
    let refusal: HubRefusal | null = null;
    const access = this.#access(name, commit, (error) => (refusal = error));
    try {
      // Without Xet's chunks: only plain ranges can resume where the file on the disk ends.
      const blob = await downloadFile({ ...access, ...source, xet: false });
      if (blob === null) throw new HubRefusal(`${name}: ${path} is not there any more`);
      yield* (start === 0 ? blob : blob.slice(start)).stream() as ReadableStream<Uint8Array>;
    } catch (error) {
      // The library keeps only the message of what failed under its stream, so the refusal itself is remembered here.
      throw refusal ?? (error instanceof Error ? error : new Error(String(error)));
    }
  }

  #access(name: string, revision: string, onRefusal: (error: HubRefusal) => void = () => undefined) {
    const explain = (response: Response) => this.#explain(response, name, revision);
    const fetchOrRefuse = async (input: string | URL | Request, init?: RequestInit) => {
      try {
        return await fetchChecked(input, init, explain);
      } catch (error) {
        if (error instanceof HubRefusal) onRefusal(error);
        throw error;
      }
    };
    return { ...(this.#token !== null && { accessToken: this.#token }), fetch: fetchOrRefuse };
  }

  /** Why a retry is of no use, or null where it may help. The Hub says 401 for what is not there too, so that nobody learns of private models. */
  #explain({ status, headers }: Response, name: string, revision: string): string | null {
    const endpoint = this.#endpoint;
    const missing = `${name}: no such model at ${endpoint}, or a private one (HF_TOKEN)`;
    const byCode: Readonly<Record<string, string>> = {
      GatedRepo: `${name}: a gated model: accept its terms at ${endpoint}/${name} and set HF_TOKEN`,
      RevisionNotFound: `${name}: no revision "${revision}"`,
      RepoNotFound: missing,
    };
    const byStatus: Readonly<Record<number, string>> = {
      401: this.#token === null ? missing : `HF_TOKEN: ${endpoint} does not take it for ${name}`,
      403: `${name}: HF_TOKEN may not read it`,
      404: missing,
    };
    const reason = byCode[headers.get("x-error-code") ?? ""] ?? byStatus[status];
    if (reason !== undefined) return reason;
    return status === 429 || status >= 500 ? null : `${name}: ${endpoint} answered ${status}`;
  }
}

type Explain = (response: Response) => string | null;

async function fetchChecked(
  input: string | URL | Request,
  init: RequestInit | undefined,
  explain: Explain,
): Promise<Response> {
  const response = await fetch(input, init).catch((error: unknown) => {
    throw new Error(`cannot reach ${hostOf(input)}: ${causeOf(error)}`, { cause: error });
  });
  const isGone = response.headers.get("x-error-code") === "EntryNotFound";
  if (!response.ok && !isGone) {
    await response.body?.cancel();
    const reason = explain(response);
    throw reason === null ? new Error(`${hostOf(input)} answered ${response.status}`) : new HubRefusal(reason);
  }
  // An answer with the whole file would be appended to the part that is here already.
  const range = new Headers(init?.headers).get("range");
  if (range !== null && range !== "bytes=0-0" && response.status !== 206) {
    await response.body?.cancel();
    throw new HubRefusal(`${hostOf(input)} sends no parts of files: delete the unfinished download and start again`);
  }
  return response;
}

function hostOf(input: string | URL | Request): string {
  return new URL(input instanceof Request ? input.url : input).origin;
}

function causeOf(error: unknown): string {
  const { message, cause } = error as Error;
  return (cause as NodeJS.ErrnoException | undefined)?.code ?? (cause as Error | undefined)?.message ?? message;
}
