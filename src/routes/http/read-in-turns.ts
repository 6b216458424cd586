// Bodies are read in turns, a few requests of each model per turn of the event loop: a request that comes with a burst on another model does
// not wait for all of the burst's bodies. Whom a body asks for is known when it is read; until then a request counts as its connection's last.
import type { Socket } from "node:net";
import { Turns } from "../../inference/host/turns.js";
import type { App } from "./app.js";

/** For the routes of `app` that are registered after this. */
export function readInTurns(app: App, turns = new Turns()): void {
  const lastModels = new WeakMap<Socket, string>();
  app.addHook("onRequest", ({ raw: { socket } }) => turns.take(lastModels.get(socket) ?? ""));
  app.addHook("preHandler", async ({ raw: { socket }, body }) => {
    lastModels.set(socket, modelIn(body));
  });
}

function modelIn(body: unknown): string {
  const { model } = (body ?? {}) as { readonly model?: unknown };
  return typeof model === "string" ? model : "";
}
