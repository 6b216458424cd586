// Writes api.ts, the types of openapi.yaml, into a folder: openapi-typescript, on a TypeScript that has the compiler's API.
//
//   openapi-typescript ──import "typescript"──▶ 7 has no API for JavaScript: @ts-morph/common's copy of 5 in its place
import { writeFile } from "node:fs/promises";
import { register } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const api = import.meta.resolve("@ts-morph/common").replace(/[^/]*$/u, "typescript.js");
const hook = `export const resolve = (name, context, next) => next(name === "typescript" ? ${JSON.stringify(api)} : name, context);`;
register(`data:text/javascript,${encodeURIComponent(hook)}`);

const { default: generate, astToString } = await import("openapi-typescript");

export async function generateTypes(document: string, folder: string): Promise<void> {
  const nodes = await generate(pathToFileURL(document));
  await writeFile(join(folder, "api.ts"), astToString(nodes));
}
