"""The window on small screens, with huge input, and without a connection: real X server, real widgets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from chatctl.client import Client, Disconnected, Refused, Sent, read_identity
from chatctl.model.chat_model import Alert
from chatd.errors import ChatdError
from tests.support.daemon import Daemon, wait_until
from tests.support.windows import Opener, draw
from tests.support.xvfb import missing

if TYPE_CHECKING:
    from chatctl.window.window import Window

tk = pytest.importorskip("tkinter")

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"windows cannot be tested here: {missing()}")


def shown_above(window: Window) -> str:
    """Return what is said above the input, "" if nothing is."""
    label = window.composer._above
    return str(label.cget("text")) if label.winfo_manager() else ""


def assert_input_visible(window: Window, height: int) -> None:
    text, root = window.composer.text, window.root
    top = text.winfo_rooty() - root.winfo_rooty()
    assert root.winfo_rooty() + root.winfo_height() <= height
    assert text.winfo_ismapped()
    assert top >= 0
    assert top + text.winfo_height() <= root.winfo_height()
    assert text.winfo_height() >= window.theme.body.metrics("linespace")
    assert text.winfo_width() >= window.theme.body.measure("n" * 3)


@pytest.mark.parametrize(
    ("width", "height", "scale", "points"),
    [
        (1280, 720, None, 24),
        (1366, 768, 3.0, 10),
        (320, 200, None, 10),
        (320, 200, 3.0, 24),
        (640, 480, 4.0, 7),
    ],
)
def test_the_input_is_visible_on_small_screens(
    offline_window: Opener,
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    height: int,
    scale: float | None,
    points: int,
) -> None:
    # Not a screen of this size: Xlib ends the process when a screen goes away that it has used.
    monkeypatch.setattr(tk.Misc, "winfo_screenwidth", lambda _: width)
    monkeypatch.setattr(tk.Misc, "winfo_screenheight", lambda _: height)
    window = offline_window(scale=scale, points=points)
    assert_input_visible(window, height)
    window.model.take(Disconnected(ChatdError("E607", "a long reason " * 30, "wait " * 30), 5.0))
    draw(window)
    assert_input_visible(window, height)
    window.composer.value = "line\n" * 30
    draw(window)
    assert_input_visible(window, height)
    for _ in range(20):
        window.zoom(1)
    draw(window)
    assert_input_visible(window, height)


def test_a_paste_that_cannot_be_done_keeps_the_selection_and_says_so(offline_window: Opener) -> None:
    from chatctl.window.composer import INPUT_LIMIT

    window = offline_window()
    composer, root = window.composer, window.root
    composer.value = "kept words"
    composer.text.tag_add("sel", "1.0", "end-1c")
    root.clipboard_clear()
    root.update()
    composer.text.event_generate("<<Paste>>")
    assert (composer.value, shown_above(window)) == ("kept words", "there is no text to paste")
    root.clipboard_clear()
    root.clipboard_append("x" * 500_000)
    composer.text.event_generate("<<Paste>>")
    assert composer.value == "kept words"
    assert shown_above(window).startswith("not pasted: 500,000 characters, of which 32,768 fit")
    composer.text.event_generate("<<Paste>>")
    assert composer.value == "x" * INPUT_LIMIT
    composer.value = "one two"
    composer.text.tag_add("sel", "1.0", "1.3")
    composer.text.mark_set("insert", "1.3")
    root.clipboard_clear()
    root.clipboard_append("three")
    composer.text.event_generate("<<Paste>>")
    assert (composer.value, shown_above(window)) == ("three two", "")


def test_the_input_is_bounded_however_the_text_gets_there(offline_window: Opener) -> None:
    from chatctl.window.composer import INPUT_LIMIT

    window = offline_window()
    composer = window.composer
    composer.text.insert("1.0", "y" * 300_000)
    draw(window)
    assert composer.value == "y" * INPUT_LIMIT
    assert shown_above(window).startswith("cut to 32,768 characters")
    composer.text.tag_add("sel", "1.0", "end-1c")  # owns the X selection
    composer.text.event_generate("<<PasteSelection>>", x=1, y=1)
    assert composer.value == "y" * INPUT_LIMIT
    assert shown_above(window).startswith("not pasted: 32,768 characters, of which 0 fit")


def test_an_open_panel_follows_the_theme(offline_window: Opener) -> None:
    from chatctl.window.panels import TablePanel

    window = offline_window()
    window._menu._show_keys()
    panel = window.dialogs.panel
    assert isinstance(panel, TablePanel)
    for _ in range(2):
        window.toggle_theme()
        palette = window.theme.palette
        colours = (str(panel._table.cget("background")), str(panel._table.cget("foreground")))
        assert colours == (palette.page, palette.text)


def test_an_unread_count_is_never_cut(offline_window: Opener) -> None:
    window = offline_window()
    for points in (7, 10, 24):
        for unread, mark in ((1_234, "1.2k"), (28_168, "28k"), (5_000_000, "999k+")):
            window.model.here.read.counted = unread
            window.theme.zoom(points)
            window._restyle()
            window.model.changed.add("rooms")
            draw(window)
            rows = window.layout.rooms.rows
            if not rows.winfo_ismapped():  # the window is narrow now
                window.layout._toggle_rooms()
                draw(window)
            assert rows.item("#lobby").mark == mark
            wait_until(lambda: mark_fits(window), what=f"space for {mark}")


def mark_fits(window: Window) -> bool:
    """Return whether the count of the first room is shown as a whole."""
    draw(window)
    rows = window.layout.rooms.rows
    x, _, width, _ = rows.mark_box("#lobby")
    left, _, right, _ = rows.bbox("mark")
    return x <= left < right <= x + width <= rows.winfo_width()


def test_unsent_messages_of_the_last_run_are_shown_at_once(
    offline_window: Opener, daemon: Daemon, tmp_path: Path
) -> None:
    earlier = Client(read_identity(daemon.identity("carol")), state=tmp_path)
    earlier.send("#lobby", "typed before the restart")
    earlier.send("@bob", "for bob alone")
    earlier.close()
    window = offline_window()
    assert "typed before the restart  \u2026 sending\n" in window.messages.text.get("1.0", "end")
    assert "(2 unsent)" in window.layout.status._state.cget("text")
    assert window.layout.rooms.rows.exists("@bob,carol")


def test_refused_texts_come_back_one_after_the_other(offline_window: Opener, tmp_path: Path) -> None:
    window = offline_window()
    composer, text = window.composer, window.composer.text
    composer.value = "being typed"
    for number in range(3):
        refused = Sent(f"{number:032x}", "#lobby", f"refused {number}", "text", None)
        window.model.sending(refused)
        window.model.take(Refused(refused, ChatdError("E400")))
    draw(window)
    assert (composer.value, shown_above(window)) == (
        "being typed",
        "3 more refused: back when the input is empty",
    )
    window.save_drafts()
    composer.value = ""
    window.model.changed.add("rows")
    draw(window)
    assert (composer.value, shown_above(window)) == (
        "refused 0",
        "2 more refused: back when the input is empty",
    )
    # Typed over, it is still there: Up brings it back.
    text.delete("sel.first", "sel.last")
    assert composer._recall(1) == "break"
    assert composer.value == "refused 0"
    from chatctl.window.drafts import Drafts

    window._drafts.close()
    saved: dict[str, Any] = Drafts(tmp_path).saved
    assert saved == {"#lobby": "being typed\n\nrefused 0\n\nrefused 1\n\nrefused 2"}


def test_the_wait_for_the_next_attempt_is_shown_and_can_be_ended(
    offline_window: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = offline_window()
    tries: list[str] = []
    monkeypatch.setattr(window.control.network.client, "try_now", lambda: tries.append("try"))
    now = [100.0]
    window.model.clock = lambda: now[0]
    window.model.take(Disconnected(ChatdError("E607"), 25.0))
    draw(window)
    status = window.layout.status
    assert "reconnecting in 25 s" in status._state.cget("text")
    now[0] = 107.0
    draw(window)
    assert "reconnecting in 18 s" in status._state.cget("text")
    assert (status._button.winfo_ismapped(), status._button.cget("text")) == (1, "Try now")
    status._button.invoke()
    window.submit("/reconnect")
    assert tries == ["try", "try"]
    window.model.alerts.append(Alert("bob", "hello"))
    draw(window)
    assert "bob: hello" in status._message.cget("text")
