// The page with the fake server; tests reach both as `window.stage`.

import { ChatModel } from "/app/model.js";
import { run } from "/app/main.js";
import * as markup from "/app/views/markup.js";
import * as avatar from "/app/views/avatar.js";
import * as words from "/app/views/words.js";
import { FakeClient } from "./fake_client.js";
import { play } from "./scene.js";

const wanted = Object.fromEntries(new URLSearchParams(location.search));
const server = new FakeClient({ identity: wanted.identity !== "no", role: wanted.role ?? "admin" });
if (wanted.permissions) server.options.permissions = wanted.permissions.split(",");
const model = new ChatModel({ client: server });
server.model = model;
if (wanted.scene !== "no") play(server);
for (let count = 0; count < Number(wanted.messages ?? 0); count += 1) {
  const user = ["bob", "carol", "dana", "eve"][Math.floor(count / 3) % 4];
  server.log("#flood", user, `message ${count} ${"lorem ipsum ".repeat((count * 7) % 40)}`);
}
/** @type {any} */ (window).stage = { model, server, markup, avatar, words };
void run(model, /** @type {HTMLElement} */ (document.getElementById("root")));
