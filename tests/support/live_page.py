"""The page's model in Chromium against a real gateway, driven without its views."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import BrowserContext, Page

from tests.support.browser import WAIT_MS, Modules

# Any file of the page: its origin is what counts.
BLANK = "/app/wire.js"
_START = """
const { ChatModel } = await load("model.js");
window.model = new ChatModel();
window.phases = [];
model.subscribe(() => { if (phases.at(-1) !== model.phase) phases.push(model.phase); });
await model.start();
"""


class LivePage:
    """One tab at a gateway, with a model that has started."""

    def __init__(self, context: BrowserContext, port: int) -> None:
        self.page: Page = context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self._modules = Modules(self.page, f"https://127.0.0.1:{port}", BLANK)
        self.run(_START)

    def run(self, script: str, argument: object = None) -> Any:
        """Run the body of an async function with the global `model`."""
        return self._modules.run(script, argument)

    def reload(self) -> None:
        """Begin with a new page, as a person who presses F5."""
        self._modules.clear()
        self.run(_START)

    def value(self, expression: str) -> Any:
        """Return the value of an expression."""
        return self.run(f"return {expression};")

    def wait(self, condition: str, argument: object = None) -> None:
        """Wait until an expression is true; `given` in it is the argument."""
        self.page.wait_for_function(f"(given) => {condition}", arg=argument)

    def join(self, code: str, device: str = "web") -> None:
        """Redeem an invite, and wait for the session."""
        self.wait("model.phase === 'no-identity'")
        self.run("await model.join(given[0], given[1]);", [code, device])
        self.wait_connected()

    def wait_connected(self) -> None:
        self.wait("model.phase === 'connected'")

    def bodies(self, name: str) -> list[str]:
        """The texts of the messages in a conversation."""
        rows = self.run("return JSON.stringify(model.conversation(given).rows);", name)
        return [row["body"] for row in json.loads(rows) if row["msgId"]]

    def close(self) -> None:
        self.page.close()
