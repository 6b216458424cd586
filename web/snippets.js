// The call that the page has just made, as a program: curl, Python, TypeScript.
import { storedKey } from "./api.js";
import { element } from "./elements.js";

const makers = { curl, Python: python, TypeScript: typescript };

/** Shows the tabs in `place`; gives a function that shows another request. */
export function showSnippets(place) {
  let request = { inputs: "" };
  let chosen = "curl";
  const code = element("code", {});
  const panel = element("pre", { tabindex: "0", role: "region", "aria-label": "Program" }, code);
  const copied = element("span", { class: "unseen", role: "status" });
  const copy = element("button", { type: "button", class: "copy", onclick: () => void copyText() }, "Copy");
  const tabs = Object.keys(makers).map((name) =>
    element("button", { type: "button", "aria-pressed": "false", onclick: () => show(name) }, name),
  );
  const copyText = async () => {
    const told = (await copyOut(code)) ? "Copied" : "Selected: copy it with the keyboard";
    copy.textContent = told;
    copied.textContent = told;
    setTimeout(() => ((copy.textContent = "Copy"), (copied.textContent = "")), 2000);
  };
  const show = (name) => {
    chosen = name;
    code.textContent = makers[name](new URL("generate", document.baseURI).href, request);
    for (const tab of tabs) tab.setAttribute("aria-pressed", String(tab.textContent === name));
  };
  place.replaceChildren(
    element("div", { class: "tabs", role: "group", "aria-label": "Language" }, ...tabs, copy, copied),
    panel,
  );
  show(chosen);
  return (next) => {
    request = next;
    show(chosen);
  };
}

/** False where browsers hand out no clipboard (plain http from another machine): the text is selected instead. */
async function copyOut(code) {
  try {
    await navigator.clipboard.writeText(code.textContent ?? "");
    return true;
  } catch {
    getSelection()?.selectAllChildren(code);
    return false;
  }
}

// A key is never written into a program: it comes from the environment.
const keyVariable = "SEQSERVE_KEY";
const needsKey = () => storedKey() !== "";

function curl(url, request) {
  const body = JSON.stringify(request).replaceAll("'", String.raw`'\''`);
  const key = needsKey() ? `  -H "authorization: Bearer $${keyVariable}" \\\n` : "";
  return `curl ${url} \\\n${key}  -H 'content-type: application/json' \\\n  -d '${body}'`;
}

function python(url, request) {
  const [imports, key] = needsKey()
    ? ["json, os, urllib.request", `, "authorization": "Bearer " + os.environ["${keyVariable}"]`]
    : ["json, urllib.request", ""];
  return `import ${imports}

body = json.dumps(${pythonLiteral(request)}).encode()
headers = {"content-type": "application/json"${key}}
with urllib.request.urlopen(urllib.request.Request("${url}", body, headers)) as response:
    print(json.load(response)["generated_text"])`;
}

function typescript(url, request) {
  const key = needsKey() ? `, authorization: \`Bearer \${process.env.${keyVariable}}\`` : "";
  return `const response = await fetch("${url}", {
  method: "POST",
  headers: { "content-type": "application/json"${key} },
  body: JSON.stringify(${JSON.stringify(request)}),
});
const { generated_text } = (await response.json()) as { generated_text: string };
console.log(generated_text);`;
}

// JSON is Python but for three words, which only stand for themselves outside strings.
function pythonLiteral(value) {
  if (Array.isArray(value)) return `[${value.map(pythonLiteral).join(", ")}]`;
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).map(([name, own]) => `${JSON.stringify(name)}: ${pythonLiteral(own)}`);
    return `{${entries.join(", ")}}`;
  }
  if (typeof value === "boolean") return value ? "True" : "False";
  return value === null ? "None" : JSON.stringify(value);
}
