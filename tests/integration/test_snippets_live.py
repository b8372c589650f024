"""A snippet on a real server: whole in history, search, export and backup, removed by redaction, resumed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from chatctl.client import Client, Message, read_identity
from chatctl.model.paging import history, history_page
from tests.support.daemon import Daemon, running

SNIPPET = "\n".join(f"{n:04} pod web-7 \u2713 restarted by kubelet swordfish{n}" for n in range(600))


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with running(tmp_path / "home") as daemon:
        yield daemon


def send(client: Client, body: str) -> int:
    return client.send("#lobby", body).wait(60).seq


def test_a_snippet_is_whole_everywhere_until_it_is_redacted(daemon: Daemon, tmp_path: Path) -> None:
    assert len(SNIPPET.encode()) > 30_000
    with Client(read_identity(daemon.identity("alice", "console")), live=False) as client:
        seq = send(client, SNIPPET)
        (event,) = history(client.request, "#lobby", count=1).events
        assert isinstance(event, Message)
        assert (event.kind, event.body) == ("snippet", SNIPPET)
        found = client.request("search", query="swordfish599 in:#lobby")["events"]
        assert [one["seq"] for one in found] == [seq]
        export = tmp_path / "export.jsonl"
        daemon.chatd("export", "-o", str(export))
        (line,) = [line for line in export.read_text("ascii").splitlines() if "swordfish599" in line]
        assert json.loads(json.loads(line)["body"])["body"] == SNIPPET
        assert daemon.chatd("verify", "--export", str(export)).stdout.startswith("ok")
        assert daemon.chatd("verify").stdout.startswith("ok")
        client.request("redact", room="#lobby", seq=seq)
        assert client.request("search", query="swordfish599")["events"] == []
    daemon.stop()
    assert b"swordfish599" not in b"".join(
        path.read_bytes() for path in (daemon.home / "data").iterdir() if path.is_file()
    )
    assert daemon.chatd("verify").stdout.startswith("ok")


def test_pages_of_large_snippets_are_complete(daemon: Daemon) -> None:
    with Client(read_identity(daemon.identity("alice", "console"))) as client:
        start = client.wait_connected(30).head
        seqs = [send(client, SNIPPET) for _ in range(5)]
        page = history_page(client.request, "#lobby", limit=5)
        # One page has place for one of them; the library asks for the others.
        assert [event["seq"] for event in page["events"]] == seqs[-1:]
        assert page["more"]
        assert [event.seq for event in history(client.request, "#lobby", count=5).events] == seqs
    daemon.chatd("restart")
    with Client(read_identity(daemon.identity("alice", "console")), live=False) as late:
        resumed, after, more = [], start, True
        while more:
            page = late.request("resume", after=after)
            resumed += [event["seq"] for event in page["events"] if event["type"] == "message"]
            after, more = page["cursor"], page["more"]
    assert resumed == seqs
