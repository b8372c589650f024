// The keys of the chat page.

/** @type {[string, string][]} */
export const KEYS = [
  ["Enter", "send"],
  ["Shift+Enter", "begin a line"],
  ["Ctrl+K", "go to a room or a person"],
  ["Alt+Up, Alt+Down", "the room above, below"],
  ["Alt+Shift+Up, Down", "the same among unread rooms"],
  ["Up in an empty box", "edit your last message"],
  ["Up, Down in the talk", "from message to message; Enter opens what can be done"],
  ["Ctrl+Shift+F", "search"],
  ["Escape", "one step back; at the box: everything is read"],
];

/** @param {import("./chat_page.js").ChatPage} page */
export function listenKeys(page) {
  document.addEventListener("keydown", (event) => {
    if (!page.element.isConnected || document.querySelector("dialog[open], .menu:popover-open")) return;
    const ctrl = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    if (ctrl && key === "k" && !event.shiftKey) page.goto();
    else if (ctrl && event.shiftKey && key === "f") page.showSearch(true);
    else if (event.altKey && (key === "arrowup" || key === "arrowdown")) {
      const name = page.rooms.neighbour(key === "arrowup" ? -1 : 1, event.shiftKey);
      if (name) void page.enter(name);
    } else if (key === "escape") page.escape();
    else if (key === "enter" && document.activeElement?.tagName === "ARTICLE") {
      /** @type {any} */ (document.activeElement.querySelector(".tools button:last-child"))?.click();
    } else return;
    event.preventDefault();
  });
}
