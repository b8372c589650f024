"""Random sequences of messages, edits, deletions and reactions, compared with a model made of plain values.

At the end the pages, the search, the export and the bytes of the log's files must agree with the model, and
the log must verify.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from chatd.config.schema import Settings
from chatd.proto.request_bounds import EDITS_LIMIT
from tests.support.daemon import wait_until
from tests.support.talk_at_hub import LOBBY, Talk

PEOPLE = ("alice", "bob")
REACTIONS = ("+1", "no")
DAY_MS = 86_400_000
person, pick = st.sampled_from(PEOPLE), st.integers(0, 5)


@dataclass
class Said:
    """A message: its author, its present text, and who gave each reaction."""

    author: str
    text: str
    at: int
    given: dict[str, set[str]] = field(default_factory=dict)
    edits: int = 0
    times_edited: int = 0


class ChangedMessages(RuleBasedStateMachine):
    """Each rule is one act of one person, done at the hub and in the model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.talk = Talk(Path(self.folder.name) / "data", retention={"days": 1})
        self.said: dict[int, Said] = {}
        self.texts = 0
        self.running = True
        self.kept, self.held = False, False
        # Texts that nobody must find in the files, and those that the log keeps.
        self.removed: set[str] = set()
        self.former: dict[int, set[str]] = {}
        for who in PEOPLE:
            self.say(who)

    def new_text(self) -> str:
        self.texts += 1
        return f"wording{self.texts}x"

    def target(self, pick: int) -> int:
        """Return one of the newest messages, or a seq that is none."""
        seqs = sorted(self.said)[-3:]
        return seqs[pick % len(seqs)] if pick < 5 and seqs else 1

    def forget(self, seq: int) -> None:
        self.removed |= {self.said.pop(seq).text, *self.former.pop(seq, ())}

    @rule(who=person)
    def say(self, who: str) -> None:
        text = self.new_text()
        seq = self.talk.say(who, text)
        self.said[seq] = Said(who, text, self.talk.harness.now)

    @rule(who=person, pick=pick, own=st.booleans())
    def edit(self, who: str, pick: int, own: bool) -> None:
        seq, text = self.target(pick), self.new_text()
        said = self.said.get(seq)
        if own and said is not None:
            who = said.author
        reply = self.talk.edit(who, seq, text)
        late = said is not None and self.talk.harness.now - said.at > 15 * 60_000
        permitted = said is not None and said.author == who and not late and said.times_edited < EDITS_LIMIT
        assert (reply["type"] == "ok") == permitted, reply
        if said is None or not permitted:
            return
        if self.kept or self.held:
            self.former.setdefault(seq, set()).add(said.text)
        else:
            self.removed |= {said.text, *self.former.pop(seq, ())}
        said.text, said.edits = text, reply["result"]["seq"]
        said.times_edited += 1

    @rule(who=person, pick=pick, again=st.booleans())
    def edit_again(self, who: str, pick: int, again: bool) -> None:
        for _ in range(2 + again):
            self.edit(who, pick, True)

    @rule(who=person, pick=pick)
    def delete(self, who: str, pick: int) -> None:
        seq = self.target(pick)
        said = self.said.get(seq)
        outcome = self.talk.outcome(who, "delete", room=LOBBY, seq=seq)
        late = said is not None and self.talk.harness.now - said.at > 15 * 60_000
        assert (outcome == "ok") == (
            said is not None and said.author == who and not late and not self.held
        ), outcome
        if outcome == "ok":
            self.forget(seq)

    @rule(pick=pick)
    def redact(self, pick: int) -> None:
        seq = self.target(pick)
        outcome = self.talk.outcome("ann", "redact", room=LOBBY, seq=seq)
        assert (outcome == "ok") == (seq in self.said and not self.held), outcome
        if outcome == "ok":
            self.forget(seq)

    @rule(who=person, pick=pick, text=st.sampled_from(REACTIONS), on=st.booleans())
    def react(self, who: str, pick: int, text: str, on: bool) -> None:
        seq = self.target(pick)
        reply = self.talk.ask(who, "react", room=LOBBY, seq=seq, text=text, on=on)
        assert (reply["type"] == "ok") == (seq in self.said), reply
        if seq not in self.said:
            return
        given = self.said[seq].given.setdefault(text, set())
        assert (reply["result"]["seq"] is not None) == ((who in given) != on)
        (given.add if on else given.discard)(who)
        assert reply["result"]["count"] == len(given)

    @rule(on=st.booleans())
    def hold(self, on: bool) -> None:
        self.talk.operate("hold", room=LOBBY, on=on)
        self.held = on

    @rule(kept=st.booleans())
    def change_setting(self, kept: bool) -> None:
        edits = "keep" if kept else "redact"
        self.talk.harness.hub.reload(Settings.model_validate({"retention": {"days": 1, "edits": edits}}))
        self.kept = kept

    @rule(minutes=st.sampled_from((1, 10)))
    def wait(self, minutes: int) -> None:
        self.talk.harness.now += minutes * 60_000

    @rule()
    def expire(self) -> None:
        if self.held:
            return
        self.talk.harness.now += DAY_MS + 60_000
        for _ in range(2):
            self.talk.harness.hub.before_commit()
            self.talk.harness.run_iteration()
        for seq in list(self.said):
            self.forget(seq)

    @rule()
    def restart(self) -> None:
        now, self.running = self.talk.harness.now, False
        self.talk.restart()
        self.talk.harness.now, self.running = now, True

    def teardown(self) -> None:
        try:
            if self.running:
                self.compare()
                self.talk.harness.close()
        finally:
            self.folder.cleanup()

    def compare(self) -> None:
        talk = self.talk
        shown = {event["seq"]: event for event in talk.history() if event["type"] == "message"}
        assert {seq: event["body"] for seq, event in shown.items()} == {
            seq: said.text for seq, said in self.said.items()
        }
        for seq, said in self.said.items():
            assert shown[seq].get("edited", 0) == said.edits
            counts = {one["text"]: (one["count"], one["mine"]) for one in shown[seq].get("reactions", ())}
            assert counts == {text: (len(who), "bob" in who) for text, who in said.given.items() if who}
        assert sorted(talk.found(f"in:{LOBBY}")) == sorted(self.said)
        for seq, said in self.said.items():
            assert talk.found(said.text) == [seq]
        resumed = [event for event in talk.result("bob", "resume", after=0)["events"] if "body" in event]
        assert {event["body"] for event in resumed} == {said.text for said in self.said.values()}
        talk.check()
        wait_until(talk.harness.log.checkpoint, what="the index to end its read")
        files = b"".join(file.read_bytes() for file in talk.data.glob("events.db*"))
        for text in self.removed:
            assert text.encode() not in files
        for text in (*(said.text for said in self.said.values()), *set().union(*self.former.values())):
            assert text.encode() in files


TestChangedMessages = ChangedMessages.TestCase
TestChangedMessages.settings = settings(
    max_examples=20,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
