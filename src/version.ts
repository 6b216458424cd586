// The version, from package.json.
import { readFileSync } from "node:fs";

// This file runs as dist/src/version.js.
const file = new URL("../../package.json", import.meta.url);

export const version = (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
