"""The page of the first run: real widgets on a real X server."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chatd.errors import ChatdError
from tests.support.daemon import Daemon
from tests.support.xvfb import Display, missing

if TYPE_CHECKING:
    from chatctl.window.first_run import FirstRun

tk = pytest.importorskip("tkinter")

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"windows cannot be tested here: {missing()}")


@pytest.fixture
def page(lasting_screen: Display, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FirstRun]:
    from chatctl.window.first_run import FirstRun
    from chatctl.window.palette import LIGHT
    from chatctl.window.theme import Theme

    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    root = tk.Tk(screenName=lasting_screen.name)
    theme = Theme(root, scale=None, environ=os.environ)
    theme.use(LIGHT)
    page = FirstRun(root, theme, ChatdError("E608", "there is no identity", "choose one"))
    root.update()
    yield page
    root.destroy()
    # Collect now: Tk's images and fonts must not be collected on another thread.
    del page, theme, root
    gc.collect()


def test_a_pasted_text_is_not_kept_on_the_screen(page: FirstRun, daemon: Daemon, tmp_path: Path) -> None:
    page.text.insert("end", daemon.identity("bob").read_text())
    page._root.update()
    assert page.text.get("1.0", "end-1c") == "identity of bob on laptop, for the server lab"
    assert str(page.said.cget("style")) == "Good.TLabel"
    page._start()
    assert page._result is not None
    assert page._result.path == tmp_path / "chatd" / "identity.pem"
    assert page._result.user == "bob"


def test_a_wrong_text_is_explained_and_can_be_replaced(page: FirstRun, daemon: Daemon) -> None:
    text = daemon.identity("bob").read_text()
    page.text.insert("end", text[: text.rindex("-----BEGIN")])
    page._root.update()
    assert "1 of the two certificates" in str(page.said.cget("text"))
    page._start()
    assert page._result is None
    page.text.delete("1.0", "end")
    page._dropped((str(daemon.identity("bob")),))
    assert page._result is not None


def test_another_server_must_be_confirmed(page: FirstRun, daemon: Daemon, tmp_path: Path) -> None:
    old = daemon.identity("bob").read_text()
    (tmp_path / "chatd").mkdir(exist_ok=True)
    given = page.text
    from chatctl.window import identity_input

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identity_input, "other_server", lambda *_: "office")
        given.insert("end", old)
        page._root.update()
        page._start()
        assert "until now it was office" in str(page.said.cget("text"))
        assert page._result is None
        page._start()
    assert page._result is not None
