"""An export made while the server runs, verified by chatd and by the script in docs/export.md."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from chatctl.client import Client, read_identity
from chatd.store.export_verifier import check_export
from chatd.store.record_export import Choice, export
from tests.support.daemon import Daemon, running
from tests.support.export_document import write_verifier

SECRET = "a redacted secret"
# The secret, the text before the edit, and the held message that was withdrawn.
REDACTED = 3


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A server with messages in two rooms and a direct conversation, one of them redacted.

    And with edits, reactions, and events that one user alone receives.
    """
    rules = json.dumps([{"words": ["merger"], "action": "hold"}])
    with running(tmp_path_factory.mktemp("export") / "home", CHATD_FILTER__RULES=rules) as daemon:
        daemon.add_user("bob")
        with Client(read_identity(daemon.identity("bob")), live=False) as client:
            held = client.send("#lobby", "the merger").wait(30)
            client.request("held_withdraw", seq=held.seq)
            sent = client.send("#lobby", "teh text").wait(30)
            client.edit("#lobby", sent.seq, "the text").wait(30)
            client.request("react", room="#lobby", seq=sent.seq, text="+1")
            client.request("read", room="#lobby", seq=sent.seq)
        with Client(read_identity(daemon.identity("alice", "console")), live=False) as client:
            client.request("create", room="#war")
            for n in range(5):
                client.send("#lobby", f"lobby {n} \u00e4 \U0001f600").wait(30)
                client.send("#war", f'war {n} "quoted"').wait(30)
            client.send("@bob", "between us").wait(30)
            redacted = client.send("#lobby", SECRET).wait(30)
            client.request("redact", room="#lobby", seq=redacted.seq)
            client.request("read", room="#lobby", seq=redacted.seq)
        yield daemon


@pytest.fixture
def decided(tmp_path: Path) -> Iterator[Daemon]:
    """A server with held messages, of which one waits, one is approved and one refused."""
    with running(tmp_path / "home") as daemon:
        daemon.add_user("bob")
        rule = {"words": ["merger"], "action": "hold", "roles": ["user"]}
        daemon.write_settings(lambda tree: tree.setdefault("filter", {}).update(rules=[rule]))
        daemon.chatd("reload")
        with Client(read_identity(daemon.identity("bob")), live=False) as bob:
            held = [bob.send("#lobby", f"merger {n}").wait(30).seq for n in range(3)]
        daemon.chatctl("held", "approve", str(held[0]))
        daemon.chatctl("held", "refuse", str(held[1]))
        yield daemon


def test_an_export_with_held_messages_verifies(decided: Daemon, verifier: Path, tmp_path: Path) -> None:
    _, *events = export_log(decided, tmp_path / "held.jsonl")
    held = [event for event in events if event["kind"] == "message_held"]
    assert [("erased_by" in event, "body" in event) for event in held] == [(True, False)] * 2 + [
        (False, True)
    ]
    assert run_verifier(verifier, tmp_path / "held.jsonl").stdout.startswith("ok ")
    checked = decided.chatd("verify", "--export", str(tmp_path / "held.jsonl"))
    assert checked.returncode == 0


@pytest.fixture(scope="module")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The verification script of docs/export.md, as a file."""
    return write_verifier(tmp_path_factory.mktemp("script"))


def run_verifier(verifier: Path, file: Path) -> subprocess.CompletedProcess[str]:
    # -I and -S: whoever verifies an export has neither chatd nor its libraries.
    return subprocess.run(
        [sys.executable, "-I", "-S", str(verifier), str(file)], capture_output=True, text=True, check=False
    )


def export_log(daemon: Daemon, file: Path, *options: str) -> list[dict[str, Any]]:
    report = json.loads(daemon.chatd("export", "--json", "-o", str(file), *options).stdout)
    *lines, signature = [json.loads(line) for line in file.read_text("ascii").splitlines()]
    assert signature["type"] == "signature"
    assert report["head"] == lines[0]["head"]
    assert report["events"] == len(lines) - 1
    return lines


def test_an_export_of_the_whole_log_verifies_without_the_redacted_text(
    daemon: Daemon, verifier: Path, tmp_path: Path
) -> None:
    file = tmp_path / "all.jsonl"
    header, *events = export_log(daemon, file)
    assert (header["schema"], header["server"], header["start"]["seq"]) == (2, "lab", 0)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    texts = [json.loads(event["body"]).get("body") for event in events if "body" in event]
    assert "lobby 0 \u00e4 \U0001f600" in texts and "between us" in texts
    assert {event["room"] for event in events} >= {"=bob", "#war", "@alice,bob", None}
    assert sum("erased_by" in event for event in events) == REDACTED
    assert SECRET not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    result = run_verifier(verifier, file)
    head = f"{header['head']['seq']} {header['head']['chain']}"
    assert result.stdout == f"ok {head}\nnot checked: who made it\n", result.stderr
    shown = daemon.run("chatd", "verify", "--export", str(file)).stdout
    whole = len(events) - REDACTED
    assert shown.startswith(
        f"ok    events 1 to {len(events)} of lab: {whole} with their text, {REDACTED} redacted"
    )
    report = json.loads(daemon.run("chatd", "verify", "--export", str(file), "--json").stdout)
    assert (report["ok"], report["withheld"]) == (True, 0)


def test_a_room_that_never_was_is_refused(daemon: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "nope.jsonl"
    refused = daemon.chatd("export", "-o", str(file), "--room", "nope", check=False)
    assert (refused.returncode, "no event of #nope" in refused.stderr) == (3, True)
    assert list(tmp_path.iterdir()) == []


def test_an_export_of_a_room_or_a_time_range_verifies(daemon: Daemon, verifier: Path, tmp_path: Path) -> None:
    _, *events = export_log(daemon, tmp_path / "all.jsonl")
    header, *war = export_log(daemon, tmp_path / "war.jsonl", "--room", "war", "--since", "1h")
    assert header["choice"]["room"] == "#war"
    assert {event["room"] for event in war if "body" in event} == {"#war"}
    assert "lobby 0" not in (tmp_path / "war.jsonl").read_text()
    assert run_verifier(verifier, tmp_path / "war.jsonl").returncode == 0
    # An export from the middle verifies from its first entry.
    middle = events[len(events) // 2]
    lines = list(export(daemon.home / "data", "lab", Choice(since=middle["at"]), "now", lambda n, of: None))
    assert lines[0]["start"]["seq"] > 0
    part = tmp_path / "part.jsonl"
    part.write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert run_verifier(verifier, part).returncode == 0
    header, *events_before_2001 = export_log(daemon, tmp_path / "none.jsonl", "--until", "2001-01-01")
    assert (events_before_2001, header["start"]) == ([], header["head"])
    assert run_verifier(verifier, tmp_path / "none.jsonl").returncode == 0
    assert daemon.run("chatd", "verify", "--export", str(tmp_path / "none.jsonl")).returncode == 0


def _drop_an_event(lines: list[bytes]) -> None:
    del lines[4]


def _drop_the_last_event(lines: list[bytes]) -> None:
    del lines[-2]


def _swap_two_events(lines: list[bytes]) -> None:
    lines[4], lines[5] = lines[5], lines[4]


def _change_a_body(lines: list[bytes]) -> None:
    index = next(n for n, line in enumerate(lines) if b"war 2" in line)
    lines[index] = lines[index].replace(b"war 2", b"war 3")


def _change_a_room(lines: list[bytes]) -> None:
    index = next(n for n, line in enumerate(lines) if b"war 2" in line)
    lines[index] = lines[index].replace(b'"room":"#war"', b'"room":"#law"')


def _change_the_head(lines: list[bytes]) -> None:
    header = json.loads(lines[0])
    header["head"]["chain"] = "0" * 64
    lines[0] = json.dumps(header).encode() + b"\n"


def _change_the_start(lines: list[bytes]) -> None:
    header = json.loads(lines[0])
    header["log"] = "0" * 32
    lines[0] = json.dumps(header).encode() + b"\n"


@pytest.mark.parametrize(
    "tamper",
    [
        _drop_an_event,
        _drop_the_last_event,
        _swap_two_events,
        _change_a_body,
        _change_a_room,
        _change_the_head,
        _change_the_start,
    ],
)
def test_both_verifiers_detect_a_changed_export(
    tamper: Any, daemon: Daemon, verifier: Path, tmp_path: Path
) -> None:
    export_log(daemon, tmp_path / "all.jsonl")
    lines = (tmp_path / "all.jsonl").read_bytes().splitlines(keepends=True)
    tamper(lines)
    changed = tmp_path / "changed.jsonl"
    changed.write_bytes(b"".join(lines))
    assert run_verifier(verifier, changed).returncode == 1
    result = daemon.run("chatd", "verify", "--export", str(changed), check=False)
    assert result.returncode == 1
    assert result.stdout.startswith("fail  line ")


@pytest.mark.parametrize(
    "text", [b"", b"\n", b"[]\n", b"{}\n", b"\xff\xfe\n", b"[" * 100_000, b'{"type":"export","schema":3}\n']
)
def test_an_invalid_file_fails_verification_with_a_reason(text: bytes) -> None:
    report = check_export([text] if text else [], lambda n, of: None)
    assert not report.ok
    assert report.reason


def test_an_existing_file_and_an_invalid_time_are_refused(daemon: Daemon, tmp_path: Path) -> None:
    file = tmp_path / "there"
    file.write_text("mine")
    assert "E606" in daemon.chatd("export", "-o", str(file), check=False).stderr
    assert file.read_text() == "mine"
    result = daemon.chatd("export", "-o", str(tmp_path / "x"), "--since", "yesterday", check=False)
    assert result.returncode == 2
    assert daemon.run("chatd", "verify", "--export", str(tmp_path / "none"), check=False).returncode == 1
