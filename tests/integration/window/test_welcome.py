"""The page of the first run: real widgets on a real X server."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chatctl.client import Client
from chatd.errors import ChatdError
from chatd.pki.identity import Identity
from chatd.proto.invite_code import parse_code
from tests.support.daemon import Daemon, wait_until
from tests.support.joining import invite, join
from tests.support.windows import WAIT
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


def until_answered(page: FirstRun) -> str:
    """Start, and return what the page says when the server has answered."""

    def answered() -> bool:
        page._root.update()
        return page._redeeming is None

    page._start()
    wait_until(answered)
    return str(page.said.cget("text"))


@pytest.mark.parametrize("form", ["{}", "chat join {}\n", "  chat join\n{}\n\n"])
def test_an_invite_becomes_the_identity(page: FirstRun, daemon: Daemon, tmp_path: Path, form: str) -> None:
    name = f"inv{len(form)}"
    page.text.insert("end", form.format(invite(daemon, name)))
    said = until_answered(page)
    ca = daemon.chatd("cert", "show").stdout
    fingerprint = said.partition("CA is ")[2].partition(". ")[0]
    assert fingerprint
    assert fingerprint in ca
    assert page.text.get("1.0", "end-1c").startswith(f"identity of {name} on ")
    assert not page._result, "the fingerprint is shown first"
    page._start()
    identity = page._result
    assert isinstance(identity, Identity)
    assert identity.path == tmp_path / "chatd" / "identity.pem"
    with Client(identity) as client:
        client.wait_connected(WAIT)


def test_what_is_wrong_with_an_invite_is_said(page: FirstRun, daemon: Daemon, tmp_path: Path) -> None:
    code = invite(daemon, "wanda")
    page.text.insert("end", f"{code[:-1]}{'A' if code[-1] != 'A' else 'B'}")
    page._start()
    assert "mistyped; copy the whole line again" in str(page.said.cget("text"))
    used = invite(daemon, "walt")
    join(daemon, used, tmp_path / "walt.pem")
    cancelled = invite(daemon, "will")
    daemon.chatctl("invite", "cancel", "will")
    for wrong, words in ((used, "was used"), (cancelled, "was cancelled")):
        page._show(wrong)
        assert f"this invite {words}; ask an admin" in until_answered(page)
    # The invite of another try still works.
    page._show(code)
    assert "You are wanda (user)" in until_answered(page)


def test_an_unreachable_server_leaves_everything_as_it_was(
    page: FirstRun, daemon: Daemon, tmp_path: Path
) -> None:
    old = tmp_path / "chatd" / "identity.pem"
    old.parent.mkdir(exist_ok=True)
    old.write_text("damaged")
    elsewhere = parse_code(invite(daemon, "wes"))._replace(server="127.0.0.1:1")
    page._show(str(elsewhere))
    assert "press Start again: the invite still works" in until_answered(page)
    assert old.read_text() == "damaged"
