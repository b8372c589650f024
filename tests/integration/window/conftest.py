"""One daemon and one X server per test module, and another user to talk to."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from chatctl.client import CaughtUp, Client
from chatctl.window.controller import Controller
from chatd.pki.identity import read_identity
from tests.support.daemon import Daemon
from tests.support.windows import WAIT, Opener, draw
from tests.support.xvfb import Display, display

if TYPE_CHECKING:
    from chatctl.window.window import Window


@pytest.fixture(scope="module")
def daemon(shared_daemon: Daemon) -> Daemon:
    shared_daemon.add_user("bob")
    shared_daemon.add_user("carol")
    return shared_daemon


@pytest.fixture(scope="module")
def screen() -> Iterator[Display]:
    with display() as screen:
        yield screen


@pytest.fixture(scope="session")
def lasting_screen() -> Iterator[Display]:
    """For windows in this process: Xlib ends a process when a screen goes away that it has used."""
    with display() as screen:
        yield screen


@pytest.fixture
def bob(daemon: Daemon) -> Iterator[Client]:
    """Another user's client, connected and caught up."""
    with Client(read_identity(daemon.identity("bob"))) as client:
        while not isinstance(client.next_event(WAIT), CaughtUp):
            pass
        yield client


@pytest.fixture
def offline_window(lasting_screen: Display, daemon: Daemon, tmp_path: Path) -> Iterator[Opener]:
    """Opens carol's window in this process, without a connection; ``state`` is kept in ``tmp_path``."""
    import tkinter as tk

    from chatctl.window.drafts import Drafts
    from chatctl.window.theme import Theme
    from chatctl.window.window import Window

    with ExitStack() as stack:

        def start(*, scale: float | None = None, points: int = 10) -> Window:
            root = tk.Tk(screenName=lasting_screen.name)
            stack.callback(root.destroy)
            identity = read_identity(daemon.identity("carol"))
            control = Controller(lambda: Client(identity, state=tmp_path), "#lobby")
            stack.callback(control.network.close)
            control.network.start = lambda: None  # type: ignore[method-assign]
            theme = Theme(root, scale=scale, environ=os.environ)
            theme.zoom(points)
            window = Window(root, control, theme, Drafts(tmp_path), dark=False, notify=False)
            control.start()
            draw(window)
            return window

        yield start
    # Collect now: Tk's images and fonts must not be collected on another thread.
    gc.collect()
