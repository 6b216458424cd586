// npm run suite -- evaluate g2p-en|itn-en [--url http://127.0.0.1:8080] [--dtype fp32]: a shipped model's figures, measured through the running server.
import { parseArgs } from "node:util";
import { startServer } from "./tools/server-process.js";
import { readTsv } from "./tools/workload.js";

const { values, positionals } = parseArgs({
  options: { url: { type: "string" }, dtype: { type: "string", default: "auto" } },
  allowPositionals: true,
});
const evaluations: Record<string, (url: string) => Promise<void>> = { "g2p-en": evaluateG2p, "itn-en": evaluateItn };
const evaluation = evaluations[positionals[0] ?? ""];
if (evaluation === undefined) throw new Error(`which model? One of ${Object.keys(evaluations).join(", ")}`);
const server =
  values.url === undefined ? await startServer({ MODEL: positionals[0] ?? "", DTYPE: values.dtype }) : null;
try {
  await evaluation(values.url ?? server?.url ?? "");
} finally {
  await server?.stop();
}

/** Error rates over words: any variant counts as right, phones by edit distance to the nearest variant. */
async function evaluateG2p(url: string): Promise<void> {
  const npm = readReferences("training/g2p/test-references.tsv");
  const pronasyl = readReferences("training/g2p/pronasyl-references.tsv");
  const words = [...pronasyl.keys()];
  const texts = await generateAll(url, "g2p-en", words);
  const answers = new Map(words.map((word, i) => [word, phones(texts[i])]));
  const rates = (references: Map<string, string[][]>, form: (symbols: string[]) => string[]): string => {
    const compared = [...references].map(([word, variants]) => {
      return { variants: variants.map(form), answer: form(answers.get(word) ?? []) };
    });
    const { wer, per } = errorRates(compared);
    return `WER ${wer}  PER ${per}  (${compared.length} words)`;
  };
  const asIs = (symbols: string[]) => symbols;
  const withoutStress = (symbols: string[]) => symbols.map((symbol) => symbol.replace(/\d$/, ""));
  console.log("g2p-en, greedy");
  console.log(`npm references, with stress          ${rates(npm, asIs)}`);
  console.log(`npm references, without stress       ${rates(npm, withoutStress)}`);
  console.log(`PRONASYL references, without stress  ${rates(pronasyl, withoutStress)}`);
}

function readReferences(file: string): Map<string, string[][]> {
  return new Map(
    readTsv(file).map(([word = "", variants = ""]) => [word, variants.split(" | ").map((variant) => phones(variant))]),
  );
}

async function evaluateItn(url: string): Promise<void> {
  for (const set of ["heldout-seed", "heldout-template", "challenge"]) {
    const rows = readTsv(`training/itn/${set}.tsv`);
    const answers = await generateAll(
      url,
      "itn-en",
      rows.map(([spoken = ""]) => spoken),
    );
    const classes = new Map<string, { right: number; all: number }>();
    rows.forEach(([, written, kind = "all"], i) => {
      for (const name of [kind, "all"]) {
        const counts = classes.get(name) ?? { right: 0, all: 0 };
        classes.set(name, { right: counts.right + Number(answers[i] === written), all: counts.all + 1 });
      }
    });
    console.log(`itn-en, ${set}:`);
    for (const [name, { right, all }] of [...classes].sort()) {
      console.log(`  ${name.padEnd(14)} ${((100 * right) / all).toFixed(2)} %  (${right} of ${all})`);
    }
  }
}

async function generateAll(url: string, model: string, inputs: readonly string[]): Promise<string[]> {
  const answers: string[] = [];
  const chunks = Array.from({ length: Math.ceil(inputs.length / 32) }, (_, i) => inputs.slice(i * 32, i * 32 + 32));
  const lane = async () => {
    for (let at = chunks.length; chunks.length > 0;) {
      at = Math.ceil(inputs.length / 32) - chunks.length;
      const chunk = chunks.shift() ?? [];
      const texts = await generateChunk(url, model, chunk);
      texts.forEach((text, i) => (answers[at * 32 + i] = text));
    }
  };
  await Promise.all([lane(), lane()]);
  return answers;
}

async function generateChunk(url: string, model: string, inputs: readonly string[]): Promise<string[]> {
  const response = await fetch(`${url}/generate`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, inputs, parameters: { num_beams: 1 } }),
  });
  const body = (await response.json()) as { generated_text: string }[] & { error?: string };
  if (!response.ok) throw new Error(`${response.status}: ${body.error}`);
  return body.map((answer) => answer.generated_text);
}

function phones(text: string | undefined): string[] {
  return (text ?? "").split(/\s+/).filter((symbol) => symbol !== "");
}

function errorRates(words: readonly { variants: string[][]; answer: string[] }[]): { wer: string; per: string } {
  let wrong = 0;
  let edits = 0;
  let length = 0;
  for (const { variants, answer } of words) {
    const distances = variants.map((variant) => ({ edits: distance(variant, answer), length: variant.length }));
    const nearest = distances.reduce((best, other) => (other.edits < best.edits ? other : best));
    wrong += Number(nearest.edits > 0);
    edits += nearest.edits;
    length += nearest.length;
  }
  return { wer: ((100 * wrong) / words.length).toFixed(2), per: ((100 * edits) / length).toFixed(2) };
}

function distance(from: readonly string[], to: readonly string[]): number {
  let row = to.map((_, i) => i + 1);
  from.forEach((symbol, i) => {
    let diagonal = i;
    let left = i + 1;
    row = row.map((up, j) => {
      const best = Math.min(up + 1, left + 1, diagonal + Number(symbol !== to[j]));
      diagonal = up;
      left = best;
      return best;
    });
  });
  return row.at(-1) ?? from.length;
}
