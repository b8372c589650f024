"""`chatctl revoke USER`: which of several devices, asked on a terminal."""

from __future__ import annotations

from typing import Any, cast

import click
import pytest
from click.testing import CliRunner

from chatctl.admin import revoke_command
from chatctl.client import Client
from chatd.errors import ChatdError

DEVICES = ("laptop", "phone", "tablet")


class _Server:
    """Answers `whois`: bob has three devices and one that is revoked."""

    def __init__(self, *devices: str) -> None:
        self._devices = devices

    def request(self, kind: str, **_: Any) -> Any:
        assert kind == "whois"
        listed = [{"device": name, "revoked": False, "online": name == "phone"} for name in self._devices]
        return {"devices": [*listed, {"device": "old", "revoked": True, "online": False}]}


def choose(answer: str, *devices: str, every: bool = False) -> tuple[Any, str]:
    """Choose among devices on a terminal; return the result and what was shown."""

    @click.command()
    def command() -> None:
        chosen.append(revoke_command._choose(cast(Client, _Server(*devices)), "bob", every=every))

    chosen: list[list[str]] = []
    done = CliRunner().invoke(command, input=answer, standalone_mode=False)
    return (chosen[0] if chosen else done.exception), done.output


class _Terminal:
    @staticmethod
    def isatty() -> bool:
        return True


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the command believe that somebody can answer."""
    streams = type("Streams", (), {"stdin": _Terminal, "stderr": _Terminal})
    monkeypatch.setattr(revoke_command, "sys", streams)


@pytest.mark.parametrize(("answer", "chosen"), [
    ("phone\n", ["phone"]),
    ("phone, laptop\n", ["phone", "laptop"]),
    ("phone phone\n", ["phone"]),
    ("all\n", list(DEVICES)),
    ("\nphone\n", ["phone"]),
])  # fmt: skip
def test_several_devices_are_listed_and_chosen_from(answer: str, chosen: list[str]) -> None:
    found, shown = choose(answer, *DEVICES)
    assert found == chosen
    assert "bob has 3 devices:" in shown
    assert "  phone  online" in shown and "old" not in shown


def test_a_name_that_is_none_revokes_nothing() -> None:
    error, _ = choose("phone watch\n", *DEVICES)
    assert isinstance(error, ChatdError)
    assert (error.code, error.fix) == ("E412", "nothing was revoked")
    assert isinstance(choose("", *DEVICES)[0], click.Abort)


def test_without_a_choice_nobody_is_asked() -> None:
    assert choose("", "laptop")[0] == ["laptop"]
    assert choose("", *DEVICES, every=True)[0] == list(DEVICES)
    error, _ = choose("")
    assert isinstance(error, ChatdError)
    assert error.code == "E410"
