#!/usr/bin/env -S node --v8-pool-size=1
// The `seqserve` command: runs what `npm run build` compiled.
import { existsSync } from "node:fs";

const server = new URL("../dist/src/server.js", import.meta.url);
if (existsSync(server)) await import(server.href);
else {
  process.stderr.write("seqserve: not built yet: npm run build\n");
  process.exitCode = 1;
}
