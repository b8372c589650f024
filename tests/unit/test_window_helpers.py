"""Tab completion and notifications of the desktop client, without Tk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chatctl.model.chat_model import ChatModel
from chatctl.model.conversation import RoomMember
from chatctl.window.notify import PAUSE_SECONDS, Notifier
from chatctl.window.tab_cycle import TabCycle
from tests.support.daemon import wait_until


@pytest.fixture
def model() -> ChatModel:
    model = ChatModel("alice")
    model.joined = {"#lobby", "#logs"}
    model.switch("#lobby")
    model.here.members = {user: RoomMember(user, "user") for user in ("bob", "bobby", "carol")}
    return model


def texts_after_steps(tab_cycle: TabCycle, before: str, *steps: int) -> list[str]:
    """Return the text before the cursor after each step, or "-" if nothing was completed."""
    result = []
    for step in steps:
        completion = tab_cycle.step(before, step)
        if completion is None:
            result.append("-")
            continue
        removed, inserted = completion
        before = before[: len(before) - removed] + inserted
        result.append(before)
    return result


def test_tab_cycles_through_the_candidates(model: ChatModel) -> None:
    tab_cycle = TabCycle(model)
    assert texts_after_steps(tab_cycle, "ask bo", 1, 1, 1, -1) == [
        "ask bob ",
        "ask bobby ",
        "ask bob ",
        "ask bobby ",
    ]
    assert tab_cycle.offered == ["bobby", "bob"]
    tab_cycle.stop()
    assert texts_after_steps(tab_cycle, "ask bobby ", 1) == ["-"]
    assert texts_after_steps(tab_cycle, "in #l", 1, 1) == ["in #lobby ", "in #logs "]
    assert texts_after_steps(tab_cycle, "@ca", 1, 1) == ["@carol ", "-"]
    assert texts_after_steps(tab_cycle, "two\nlines ca", 1) == ["two\nlines carol "]
    assert texts_after_steps(tab_cycle, "/he", 1) == ["/help "]
    # Only commands that the role permits are offered.
    assert texts_after_steps(tab_cycle, "/kic", 1) == ["-"]
    assert texts_after_steps(tab_cycle, "", 1) == texts_after_steps(tab_cycle, "zzz", 1) == ["-"]
    assert texts_after_steps(tab_cycle, "bo", -1) == ["-"]


class Bell:
    def __init__(self) -> None:
        self.rung = 0

    def __call__(self) -> None:
        self.rung += 1


@pytest.fixture
def notified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install a fake notify-send; return the file that gets its arguments, one a line."""
    script = tmp_path / "notify-send"
    out = tmp_path / "notified"
    script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {out}.part\nmv {out}.part {out}\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    return out


def test_an_unfocused_window_notifies_the_desktop(notified: Path) -> None:
    bell = Bell()
    notifier = Notifier(bell, clock=lambda: 100.0)
    notifier.notify("--help", "<b>look</b> & see" + "x" * 1_000, focused=False)
    lines = wait_until(
        lambda: notified.exists() and notified.read_text().splitlines(), what="the notification"
    )
    assert lines[-3:-1] == ["--", "--help"]
    assert lines[-1].startswith("&lt;b&gt;look&lt;/b&gt; &amp; see")
    assert len(lines[-1]) < 300
    assert bell.rung == 0


def test_the_bell_rings_in_a_focused_window_or_without_notify_send(
    notified: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bell, now = Bell(), [0.0]
    notifier = Notifier(bell, clock=lambda: now[0])
    for seconds, rung in ((1.0, 1), (1.0 + PAUSE_SECONDS / 2, 1), (1.1 + PAUSE_SECONDS, 2)):
        now[0] = seconds
        notifier.notify("bob", "words", focused=True)
        assert bell.rung == rung
    now[0] += PAUSE_SECONDS
    assert not notified.exists()
    notifier.on = False
    now[0] = 50.0
    notifier.notify("bob", "words", focused=True)
    assert bell.rung == 2
    monkeypatch.setenv("PATH", "/nonexistent")
    Notifier(bell).notify("bob", "words", focused=False)
    assert bell.rung == 3


def test_what_comes_within_the_pause_is_notified_together_after_it(notified: Path) -> None:
    now = [100.0]
    notifier = Notifier(Bell(), clock=lambda: now[0])

    def title_and_text() -> list[str]:
        lines = wait_until(
            lambda: notified.exists() and notified.read_text().splitlines(), what="notify-send"
        )
        notified.unlink()
        wait_until(lambda: not notifier.busy, what="the end of notify-send")
        return list(lines[-2:])

    notifier.notify("bob", "first", focused=False)
    assert title_and_text() == ["bob", "first"]
    notifier.notify("bob", "second", focused=False)
    notifier.notify("carol in #war", "third", focused=False)
    notifier.poll(focused=False)
    now[0] += PAUSE_SECONDS
    notifier.poll(focused=False)
    assert title_and_text() == ["2 messages for you, the last: carol in #war", "third"]
    now[0] += PAUSE_SECONDS
    notifier.poll(focused=False)
    assert not notifier.busy
    # Switched off meanwhile: nothing comes later.
    notifier.notify("bob", "fourth", focused=False)
    assert title_and_text() == ["bob", "fourth"]
    notifier.notify("bob", "fifth", focused=False)
    notifier.on = False
    now[0] += PAUSE_SECONDS
    notifier.poll(focused=False)
    assert not notifier.busy


def test_after_a_failure_of_notify_send_only_the_bell_is_used(notified: Path) -> None:
    (notified.parent / "notify-send").write_text("#!/bin/sh\nexit 1\n")
    bell, now = Bell(), [0.0]
    notifier = Notifier(bell, clock=lambda: now[0])
    notifier.notify("bob", "words", focused=False)

    def rung() -> bool:
        notifier.poll(focused=False)
        return bell.rung == 1

    wait_until(rung, what="the bell")
    now[0] = 20.0
    notifier.notify("bob", "words", focused=False)
    assert bell.rung == 2
