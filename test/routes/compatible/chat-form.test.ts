// How a chat becomes one source text: the last user message, or the model's own form.
import assert from "node:assert/strict";
import { test } from "node:test";
import { checkManifest } from "../../../src/inference/folder/manifest.js";
import { chatToText } from "../../../src/routes/compatible/openai/messages.js";
import { modelInfo, ScriptedInference, testServer } from "../../support/servers/scripted.js";

const chat = { system: "{}\n", user: "User: {}\n", assistant: "Bot: {}\n", prompt: "Bot:" };

test("every message is written in its role's form, texts with $ as they are", () => {
  const messages = [
    { role: "system", content: "Be kind." },
    { role: "user", content: "It costs $& {}" },
    { role: "assistant", content: "Too much" },
    {
      role: "user",
      content: [
        { type: "text", text: "W" },
        { type: "text", text: "hy?" },
      ],
    },
  ];
  assert.equal(chatToText(messages, chat), "Be kind.\nUser: It costs $& {}\nBot: Too much\nUser: Why?\nBot:");
});

test("a role without a form is refused by its place", () => {
  const messages = [
    { role: "system", content: "x" },
    { role: "user", content: "y" },
  ];
  assert.throws(() => chatToText(messages, { user: "{}" }), { field: "messages[0].role" });
});

test("a model's form is used over HTTP", async () => {
  const inference = new ScriptedInference([modelInfo({ chat })]);
  const server = await testServer({ inference });
  const payload = { model: "echo", messages: [{ role: "user", content: "hi" }] };
  await server.app.inject({ method: "POST", url: "/v1/chat/completions", payload });
  assert.equal(inference.requests.at(-1)?.inputs, "User: hi\nBot:");
  await server.close();
});

test("a manifest's form needs the place of the text", () => {
  assert.deepEqual(checkManifest("m", { chat }).chat, chat);
  assert.throws(() => checkManifest("m", { chat: { user: "User:" } }), /chat\.user/u);
});
