// Start the page with the server that delivered it.

import { ChatModel } from "./model.js";
import { run } from "./main.js";

void run(new ChatModel(), /** @type {HTMLElement} */ (document.getElementById("root")));
