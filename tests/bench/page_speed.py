"""How fast the web page shows a room, and how smoothly it scrolls through ten thousand messages.

python -m tests.bench.page_speed [ROUNDS]
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.support.browser import WAIT_MS, launched
from tests.support.daemon import Daemon
from tests.support.https import Https, gateway
from tests.support.page_server import serving
from tests.support.staged_page import StagedPages

ROUNDS = 5
MESSAGES = 10_000
_SCROLL = """
async () => {
  const talk = document.querySelector(".timeline");
  const frames = [];
  let before = performance.now();
  const end = before + 4000;
  await new Promise((done) => requestAnimationFrame(function next(now) {
    frames.push(now - before);
    before = now;
    talk.scrollTop -= 400;
    if (now < end) requestAnimationFrame(next); else done();
  }));
  return frames;
}
"""
_LOAD = """
async () => {
  const { model } = stage;
  model.joined.add("#flood");
  await model.enter("#flood");
  model.look(true, true);
  while (model.here.hasOlder) await model.loadOlder("#flood");
}
"""


def shown(browser: Browser, daemon: Daemon, https: Https, rounds: int) -> tuple[list[float], list[float]]:
    """Return the seconds of first visits by link, each until the room can be written to, and of reloads."""
    first, again = [], []
    for number in range(rounds):
        made = json.loads(daemon.chatctl("invite", "create", f"visitor{number}", "--json").stdout)
        context = browser.new_context(ignore_https_errors=True)
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        began = time.monotonic()
        page.goto(f"https://127.0.0.1:{https.port}/#{made['command'].rpartition('/')[2]}")
        page.locator("textarea:enabled[aria-label='Message #lobby']").wait_for()
        first.append(time.monotonic() - began)
        page.get_by_role("article").or_(page.locator(".event")).first.wait_for()
        began = time.monotonic()
        page.reload()
        page.locator(".event").first.wait_for()
        again.append(time.monotonic() - began)
        context.close()
    return first, again


def scrolled(page: Page) -> tuple[list[float], float]:
    """Return the milliseconds between frames while scrolling, and the page's CPU milliseconds for each."""
    page.evaluate(_LOAD)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy() -> float:
        metrics = session.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in metrics if one["name"] == "TaskDuration"))

    before = busy()
    frames: list[float] = sorted(page.evaluate(_SCROLL))
    return frames, (busy() - before) * 1000 / len(frames)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, launched() as browser:
        with gateway(Path(folder) / "home") as (daemon, https):
            first, again = shown(browser, daemon, https, rounds)
        with serving() as address:
            pages = StagedPages(browser, address)
            with pages.opened(f"?messages={MESSAGES}") as page:
                frames, cpu = scrolled(page)
    print(f"first visit by link, until one can write   median {statistics.median(first):.2f} s")
    print(f"reload, until the room is shown            median {statistics.median(again):.2f} s")
    print(
        f"scrolling {MESSAGES} messages, 400 px a frame   frames p50 {frames[len(frames) // 2]:.1f} ms,"
        f" p95 {frames[len(frames) * 95 // 100]:.1f} ms; page CPU {cpu:.1f} ms a frame"
    )
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
