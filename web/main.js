// The page: asks for an output, shows it while it comes, then what is inside it.
//
//   generate ─▶ tokens stream ─▶ end ─┬─▶ /explain ─▶ tokens in full, maps
//       ▲                             └─▶ candidates ─▶ choose one ─▶ /explain
//       └── an alternative is picked: the ids before it and it are the forced prefix
import { get, storedKey, storeKey } from "./api.js";
import { candidates, showCandidates } from "./candidates.js";
import { byId, element } from "./elements.js";
import { examplesFor } from "./examples.js";
import { explain, showMaps } from "./inside.js";
import { showLive } from "./live.js";
import { showSnippets } from "./snippets.js";
import { streamGeneration } from "./stream.js";
import { addToken, focusToken, showTokens } from "./tokens.js";

const [form, modelSelect, inputs, status, tokenList] = ["ask", "model", "inputs", "status", "tokens"].map(byId);
const languages = { src_lang: byId("source-language"), tgt_lang: byId("target-language") };
const showProgram = showSnippets(byId("call"));
let models = [];
let running = null;
/** All ids of the output that is shown, after the start token. */
let shownIds = [];

async function start() {
  form.addEventListener("submit", onSubmit);
  form.addEventListener("input", () => showProgram(asked()));
  inputs.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  modelSelect.addEventListener("change", chooseModel);
  const key = byId("key");
  key.value = storedKey();
  key.addEventListener("input", () => storeKey(key.value.trim()));
  byId("numbers").addEventListener("change", ({ target }) => byId("maps").classList.toggle("numbers", target.checked));
  void showLive(byId("live"), () => modelSelect.value);
  const listed = await get("models");
  models = listed.models.filter(({ state }) => state !== "failed");
  modelSelect.replaceChildren(...models.map(({ name }) => element("option", {}, name)));
  if (models.length === 0) return say("No model is served: see /models.", "error");
  modelSelect.value = models.some(({ name }) => name === listed.default) ? listed.default : models[0].name;
  chooseModel();
}

function chosenModel() {
  return models.find(({ name }) => name === modelSelect.value);
}

function chooseModel() {
  const model = chosenModel();
  byId("about").textContent = model.description ?? "";
  fillLanguages(languages.src_lang, model.languages.source);
  fillLanguages(languages.tgt_lang, model.languages.target);
  const examples = examplesFor(model);
  byId("examples").replaceChildren(...examples.map((text) => element("li", {}, exampleButton(text))));
  inputs.value = examples[0] ?? "";
  stop();
  say("");
  for (const id of ["output", "candidates", "inside"]) byId(id).hidden = true;
  showProgram(asked());
}

function exampleButton(text) {
  const onclick = () => {
    inputs.value = text;
    form.requestSubmit();
  };
  return element("button", { type: "button", onclick }, text);
}

function fillLanguages(select, codes) {
  select.closest("label").hidden = codes.length === 0;
  const usual = element("option", { value: "" }, "as the model does");
  select.replaceChildren(usual, ...codes.map((code) => element("option", {}, code)));
}

/** The request that the form stands for. */
function asked() {
  const parameters = Object.fromEntries(
    Object.entries(languages)
      .map(([name, select]) => [name, select.value])
      .filter(([, value]) => value !== ""),
  );
  const hasAny = Object.keys(parameters).length > 0;
  return { model: modelSelect.value, inputs: inputs.value, ...(hasAny ? { parameters } : {}) };
}

function onSubmit(event) {
  event.preventDefault();
  if (running === null) void generate(asked(), []);
  else stop();
}

function stop() {
  running?.abort(new Error("stopped"));
}

/** @param {number[]} prefix ids that the output must begin with @param {number | null} focusAt token that gets the keyboard */
async function generate(request, prefix, focusAt = null) {
  stop();
  const own = new AbortController();
  running = own;
  byId("go").textContent = "Stop";
  tokenList.replaceChildren();
  shownIds = [];
  byId("output").hidden = false;
  byId("output").classList.add("busy");
  for (const id of ["candidates", "inside"]) byId(id).classList.add("stale");
  say("Generating …");
  const forced = prefix.length === 0 ? {} : { decoder_input_ids: prefix };
  const whole = { ...request, parameters: { ...request.parameters, ...forced } };
  showProgram(prefix.length === 0 ? request : whole);
  try {
    await generateWith({ request, whole, focusAt }, own.signal);
  } catch (error) {
    if (running === own) {
      byId("output").hidden = tokenList.children.length === 0;
      say(own.signal.aborted ? "Stopped." : error.message, own.signal.aborted ? "" : "error");
    }
  } finally {
    if (running === own) {
      running = null;
      byId("go").textContent = "Generate";
      byId("output").classList.remove("busy");
    }
  }
}

async function generateWith({ request, whole, focusAt }, signal) {
  const end = await streamGeneration(
    { ...whole, parameters: { ...whole.parameters, logprobs: true, top_n_tokens: 5 } },
    {
      signal,
      onToken: (data) => {
        const at = shownIds.push(data.token.id) - 1;
        addToken(tokenList, { ...data.token, top: data.top_tokens }, onPick(request));
        if (at === focusAt) focusToken(tokenList, at);
      },
      onCut: () => say("The connection was cut: going on where it was …"),
    },
  );
  const { outputs, usage, timings } = end;
  const count = `${usage.generated_tokens} ${usage.generated_tokens === 1 ? "token" : "tokens"}`;
  say(
    `${count} in ${timings.total_ms.toFixed(0)} ms, the first step after ${timings.queue_ms.toFixed(1)} ms in the queue.`,
  );
  shownIds = outputs[0].ids;
  await Promise.all([showInside(request, shownIds, signal), showOthers(whole, outputs[0].text, signal)]);
}

// Continues with another token at this place; those before it stay.
function onPick(request) {
  return (at, id, byKeyboard) => void generate(request, [...shownIds.slice(0, at), id], byKeyboard ? at : null);
}

async function showInside(request, ids, signal) {
  const explanation = await explain(request, ids, signal).catch((error) => ({ error }));
  if (signal?.aborted) return;
  const section = byId("inside");
  section.hidden = false;
  section.classList.remove("stale");
  const { error } = explanation;
  byId("inside-note").textContent = error === undefined ? noteOf(explanation) : error.message;
  if (error !== undefined) return byId("maps").replaceChildren();
  shownIds = ids;
  showTokens(tokenList, explanation.tokens, onPick(request));
  showMaps(byId("maps"), explanation);
}

function noteOf({ attention }) {
  const all = "Rows are output tokens, columns input tokens.";
  return attention === null ? `${all} This model hands out no attention; occlusion is measured from outside.` : all;
}

async function showOthers(request, text, signal) {
  const outputs = await candidates(request, chosenModel(), signal);
  if (signal.aborted) return;
  const section = byId("candidates");
  section.hidden = outputs.length === 0;
  section.classList.remove("stale");
  const show = (shownText) =>
    showCandidates(byId("nbest"), outputs, shownText, (output) => {
      void showInside(request, output.ids);
      show(output.text);
      const pressed = byId("nbest").querySelector("[aria-pressed=true]");
      pressed?.focus();
    });
  show(text);
}

function say(text, kind = "") {
  status.textContent = text;
  status.dataset.kind = kind;
}

start().catch((error) => say(error.message, "error"));
