// tokenizer.json through the official tokenizers package; decoding by our own pipeline, because it runs for every token of every stream.
// What transformers' fast tokenizers add to the file is added here: tokens of tokenizer_config.json, language codes, clean-up.
import { AddedToken, Tokenizer as HubCore } from "tokenizers";
import { readDecoderChain, type DecoderChain } from "./decoder-chain.js";
import { knownLanguage, languageRule, type LanguageRule } from "../languages/language-edges.js";
import { codesIn, leadingCode, missingCode } from "../languages/marian-prefix.js";
import { cleaningUp, Pipeline } from "../text-stages.js";
import { decodeAll, type Detokenizer, type EncodeOptions, type SourceToken, type Tokenizer } from "../tokenizer.js";
import { piecesOf, withPrefixSpace, type HubJson } from "./hub-json.js";
import type { TokenizerFiles } from "../tokenizer-files.js";

export class HubTokenizer implements Tokenizer {
  readonly languages: readonly string[];
  readonly kind: string;
  readonly #core: HubCore;
  readonly #pieces: readonly (string | undefined)[];
  readonly #special: ReadonlySet<string>;
  readonly #chain: DecoderChain | null;
  readonly #language: LanguageRule | null;
  readonly #endToken: string | null;
  readonly #cleansUp: boolean;
  /** Target languages that a source begins with (Marian). */
  readonly #codes: readonly string[];

  /** `json` is the parsed tokenizer.json, or made from the file `from`. Throws what the package says of a file that it cannot read. */
  constructor(json: HubJson, files: TokenizerFiles, from = "tokenizer.json") {
    this.kind = `${from} (${json.model.type ?? "of no named type"})`;
    const source = withPrefixSpace(json, files.config["add_prefix_space"] === true);
    this.#core = HubCore.fromString(JSON.stringify(source));
    this.#core.disableTruncation();
    this.#core.disablePadding();
    const added = addMissing(this.#core, json, files);
    this.#pieces = piecesOf(json, added);
    const specials = [...json.added_tokens, ...files.added, ...added].filter((token) => token.special);
    this.#special = new Set(specials.map((token) => token.content));
    this.#chain = readDecoderChain(json.decoder ?? null);
    this.#language = languageRule(files, this.#special);
    this.#codes = files.className === "MarianTokenizer" ? codesIn(this.#pieces) : [];
    this.languages = [...(this.#language?.tokens.keys() ?? this.#codes)];
    this.#endToken = files.roles.get("eos_token") ?? null;
    this.#cleansUp = files.cleansUp;
  }

  get vocabSize(): number {
    return this.#pieces.length;
  }

  async encode(text: string, options: EncodeOptions = {}): Promise<SourceToken[]> {
    if (this.#codes.length > 0) return this.#encodeWithCode(text, options);
    const tokens = await this.#encodePlain(text, this.#language === null);
    return this.#language === null ? tokens : this.#withLanguage(this.#language, tokens, text.length, options);
  }

  decode(ids: readonly number[], skipSpecialTokens: boolean): string {
    return decodeAll(this.detokenizer(skipSpecialTokens), ids);
  }

  detokenizer(skipSpecialTokens: boolean): Detokenizer {
    const stages = this.#chain?.open() ?? [wholeOutput(this.#core)];
    const pipeline = new Pipeline(this.#cleansUp ? [...stages, cleaningUp()] : stages);
    return {
      push: (id) => {
        const piece = this.#pieces[id];
        return piece === undefined || (skipSpecialTokens && this.#special.has(piece)) ? "" : pipeline.push(piece);
      },
      flush: () => pipeline.flush(),
    };
  }

  piece(id: number): string | null {
    return this.#pieces[id] ?? null;
  }

  isSpecial(id: number): boolean {
    const piece = this.#pieces[id];
    return piece !== undefined && this.#special.has(piece);
  }

  idOf(piece: string): number | null {
    return this.#core.tokenToId(piece);
  }

  targetLanguageId(code: string): number | null {
    const token = this.#language?.tokens.get(code);
    return token === undefined ? null : this.idOf(token);
  }

  async #encodePlain(text: string, addSpecialTokens: boolean): Promise<SourceToken[]> {
    const encoding = await this.#core.encode(text, null, { addSpecialTokens });
    const offsetAt = utf16Offsets(text);
    const offsets = encoding.getOffsets();
    let end = 0;
    return encoding.getIds().map((id, index): SourceToken => {
      const [start = 0, stop = 0] = offsets[index] ?? [];
      // Tokens that stand for no text have offsets 0, 0, wherever they are.
      if (stop === 0) return this.#token(id, end, end);
      end = offsetAt(stop);
      return this.#token(id, offsetAt(start), end);
    });
  }

  // Marian models copied to the Hub with a tokenizer.json; as tokenization_marian.js of transformers.js does.
  async #encodeWithCode(text: string, { tgtLang }: EncodeOptions): Promise<SourceToken[]> {
    const own = leadingCode(text);
    const rest = await this.#encodePlain(text.slice(own.length).trim(), true);
    const skipped = text.length - text.slice(own.length).trimStart().length;
    const tokens = rest.map((token) => ({ ...token, start: token.start + skipped, stop: token.stop + skipped }));
    const code = missingCode(tgtLang, own, this.languages);
    const before = [code ?? "", own].flatMap((piece) => {
      const id = piece === "" ? null : this.idOf(piece);
      return id === null ? [] : [this.#token(id, 0, piece === own ? own.length : 0)];
    });
    return [...before, ...tokens];
  }

  #withLanguage(rule: LanguageRule, tokens: SourceToken[], end: number, { srcLang }: EncodeOptions): SourceToken[] {
    const code = srcLang === undefined ? rule.fallback : knownLanguage(srcLang, this.languages, "srcLang");
    const edge = (token: string | null | undefined, at: number) => {
      const id = token === null || token === undefined ? null : this.idOf(token);
      return id === null ? [] : [this.#token(id, at, at)];
    };
    const language = code === null ? undefined : rule.tokens.get(code);
    if (rule.place === "first") return [...edge(language, 0), ...tokens, ...edge(this.#endToken, end)];
    return [...tokens, ...edge(this.#endToken, end), ...edge(language, end)];
  }

  #token(id: number, start: number, stop: number): SourceToken {
    return { id, text: this.#pieces[id] ?? "", start, stop, special: this.isSpecial(id) };
  }
}

interface Added {
  readonly id: number;
  readonly content: string;
  readonly special: boolean;
}

/** As PreTrainedTokenizerFast does: tokens of added_tokens_decoder in order of their ids, then special ones, where the file lacks them. */
function addMissing(core: HubCore, json: HubJson, files: TokenizerFiles): Added[] {
  const known = new Set(json.added_tokens.map((token) => token.content));
  const special = new Set(files.specials.map((token) => token.content));
  const added: Added[] = [];
  for (const token of [...files.added, ...files.specials]) {
    const { content, lstrip, rstrip, normalized, singleWord } = token;
    if (known.has(content)) continue;
    known.add(content);
    const isSpecial = token.special || special.has(content);
    const flags = { leftStrip: lstrip, rightStrip: rstrip, normalized, singleWord };
    core.addAddedTokens([new AddedToken(content, isSpecial, flags)]);
    const id = core.tokenToId(content);
    if (id !== null) added.push({ id, content, special: isSpecial });
  }
  return added;
}

/** For decoders that need the whole output: all tokens are held back to the end. */
function wholeOutput(core: HubCore) {
  const tokens: string[] = [];
  return {
    push: (token: string) => {
      tokens.push(token);
      return [];
    },
    flush: () => [core.getDecoder()?.decode(tokens) ?? tokens.join(" ")],
  };
}

/** The package counts code points. */
function utf16Offsets(text: string): (codePoint: number) => number {
  const offsets: number[] = [0];
  let at = 0;
  for (const character of text) offsets.push((at += character.length));
  return offsets.length === text.length + 1
    ? (codePoint) => codePoint
    : (codePoint) => offsets[codePoint] ?? text.length;
}
