"""A hub with a real log and four people who talk, for tests of what can be done to messages."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from chatd.config.schema import Settings
from chatd.hub.recovery import snapshot_agrees
from chatd.proto.frames import JsonObject
from chatd.store.export_verifier import check_export
from chatd.store.record_export import Choice, export
from chatd.store.verifier import verify
from tests.support.daemon import wait_until
from tests.support.hub_harness import HubHarness, WorkerEnd

LOBBY = "#lobby"


class Talk:
    """A hub with alice and bob in #lobby, and carol in #side."""

    def __init__(self, data: Path, **settings: Any) -> None:
        self.data = data
        self.harness = HubHarness(data, Settings.model_validate(settings))
        self.worker: WorkerEnd = self.harness.workers[0]
        self.sids = {"alice": 1, "bob": 2, "carol": 3, "ann": 4}
        self._ids = 0
        for name, sid in self.sids.items():
            role = "admin" if name == "ann" else None
            self.operate("user_add", user=name, device="dev", serial=f"a{sid}", role=role)
            assert self.harness.open_session(self.worker, sid, name, "dev", f"a{sid}")
            self.ask(name, "resume")
        self.ask("carol", "part", room=LOBBY)
        self.ask("carol", "create", room="#side")

    def operate(self, kind: str, **fields: Any) -> JsonObject | None:
        return self.harness.ask(self.harness.operator, 0, kind, **fields)

    def ask(self, who: str, kind: str, /, **fields: Any) -> JsonObject:
        reply = self.harness.ask(self.worker, self.sids[who], kind, **fields)
        if reply is None:
            self.harness.deliver_read()
            self.harness.run_iteration()
            reply = self.worker.reply
        assert reply is not None
        return reply

    def outcome(self, who: str, kind: str, /, **fields: Any) -> str:
        return str(self.ask(who, kind, **fields).get("code", "ok"))

    def result(self, who: str, kind: str, /, **fields: Any) -> JsonObject:
        reply = self.ask(who, kind, **fields)
        assert reply["type"] == "ok", reply
        result: JsonObject = reply["result"]
        return result

    def msg_id(self) -> str:
        self._ids += 1
        return f"{self._ids:032x}"

    def say(self, who: str, body: str, to: str = LOBBY) -> int:
        return int(self.result(who, "send", to=to, body=body, msg_id=self.msg_id())["seq"])

    def edit(self, who: str, seq: int, body: str, room: str = LOBBY) -> JsonObject:
        return self.ask(who, "edit", room=room, seq=seq, body=body, msg_id=self.msg_id())

    def edited(self, who: str, seq: int, body: str) -> int:
        reply = self.edit(who, seq, body)
        assert reply["type"] == "ok", reply
        return int(reply["result"]["seq"])

    def history(self, who: str = "bob", **fields: Any) -> list[JsonObject]:
        events: list[JsonObject] = self.result(who, "history", room=LOBBY, limit=100, **fields)["events"]
        return events

    def shown(self, seq: int, who: str = "bob") -> JsonObject | None:
        return next((event for event in self.history(who) if event["seq"] == seq), None)

    def found(self, query: str) -> list[int]:
        return [event["seq"] for event in self.result("bob", "search", query=query)["events"]]

    def delivered(self, kind: str, to: str = "bob") -> list[JsonObject]:
        return [e for sid, e in self.worker.delivered if sid == self.sids[to] and e["type"] == kind]

    def check(self) -> None:
        """Check the log, and an export of it."""
        report = verify(self.data, full=True, agrees=snapshot_agrees)
        assert report.ok, report
        lines = [json.dumps(line).encode() for line in self.exported()]
        exported = check_export(lines, lambda *_: None)
        assert exported.ok, exported

    def exported(self) -> list[JsonObject]:
        return list(export(self.data, "lab", Choice(), "2026-01-01T00:00:00Z", lambda *_: None))

    def texts_in_files(self, text: str) -> bool:
        """Whether the log's files contain a text."""
        wait_until(self.harness.log.checkpoint, what="the index to end its read")
        files = [self.data / name for name in ("events.db", "events.db-wal")]
        return any(text.encode() in file.read_bytes() for file in files if file.exists())

    def restart(self) -> None:
        """Go on with a new hub on the same log."""
        self.harness.close()
        settings = self.harness.hub.rules.settings
        self.harness = HubHarness(self.data, settings)
        self.worker = self.harness.workers[0]
        for name, sid in self.sids.items():
            assert self.harness.open_session(self.worker, sid, name, "dev", f"a{sid}")
