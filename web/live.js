// The live strip: what the server does now, read from its own /metrics every two seconds while somebody looks.
import { byId, element } from "./elements.js";

const everyMs = 2000;

/** Shows it in `strip`, or nothing where the server keeps its metrics elsewhere (METRICS_PORT). @param {() => string} model */
export async function showLive(strip, model) {
  let before = null;
  const turn = async () => {
    const now = await sample();
    if (now === null) {
      strip.hidden = true;
      byId("metrics").hidden = true;
      return;
    }
    if (before !== null) render(strip, facts(before, now, model()));
    before = now;
    strip.hidden = false;
    byId("metrics").hidden = false;
  };
  render(strip, { batch: "–", waiting: "–", tokens: "–", latency: "–" });
  await turn();
  setInterval(() => void (document.visibilityState === "visible" && turn()), everyMs);
}

async function sample() {
  try {
    const response = await fetch("metrics", { headers: { accept: "text/plain" } });
    if (!response.ok) return null;
    return { at: performance.now(), read: reader(await response.text()) };
  } catch {
    return null;
  }
}

/** Sum of a metric's samples, of one model or of all. */
function reader(text) {
  const samples = text
    .split("\n")
    .map((line) => /^(\w+)(?:\{(.*)\})? (\S+)/u.exec(line))
    .filter((match) => match !== null);
  return (name, model) =>
    samples
      .filter(([, own, labels = ""]) => own === name && (model === undefined || labels.includes(`model="${model}"`)))
      .reduce((sum, [, , , value]) => sum + Number(value), 0);
}

let lastLatency = "–";

function facts(before, now, model) {
  const gained = (name, ...of) => now.read(name, ...of) - before.read(name, ...of);
  const seconds = (now.at - before.at) / 1000;
  const steps = gained("seqserve_batch_rows_count", model);
  const rows = steps === 0 ? 0 : gained("seqserve_batch_rows_sum", model) / steps;
  const ended = gained("seqserve_request_duration_seconds_count");
  if (ended > 0) lastLatency = `${((gained("seqserve_request_duration_seconds_sum") / ended) * 1000).toFixed(0)} ms`;
  const capacity = now.read("seqserve_batch_rows_capacity", model);
  return {
    batch: capacity === 0 ? "0 rows" : `${short(rows)} of ${capacity} rows`,
    waiting: String(now.read("seqserve_queued_requests")),
    tokens: short(gained("seqserve_engine_tokens_total") / seconds),
    latency: lastLatency,
  };
}

function short(value) {
  return value === 0 || value >= 10 ? value.toFixed(0) : value.toFixed(1);
}

function render(strip, { batch, waiting, tokens, latency }) {
  const all = { Batch: batch, Waiting: waiting, "Tokens/s": tokens, Latency: latency };
  strip.replaceChildren(
    ...Object.entries(all).map(([name, value]) =>
      element("div", {}, element("dt", {}, name), element("dd", {}, value)),
    ),
  );
}
