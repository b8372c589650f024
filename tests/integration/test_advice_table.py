"""Each code's advice, tried: the error is provoked, its advice followed, and the same command then works.

`CASES` is the table. A line begins with its actor: "chatctl" is the first admin, "chatd" the operator, and
"bob: " bob's `chat` or `chatctl`. `TRIED_ELSEWHERE` and `NOT_ON_ONE_BOX` account for all other codes.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from chatd.codes import CODES
from tests.support.daemon import Daemon

Done = subprocess.CompletedProcess[str]
Step = str | Callable[[Daemon], None]


@dataclass(frozen=True)
class Case:
    """``refused`` fails with ``code`` and ``advice`` after ``before``; after ``cure``, ``again`` works."""

    code: str
    refused: str
    advice: str
    cure: tuple[Step, ...] = ()
    again: str = ""
    before: tuple[Step, ...] = ()


def setting(change: Callable[[dict[str, Any]], None]) -> Callable[[Daemon], None]:
    def step(daemon: Daemon) -> None:
        daemon.write_settings(change)

    return step


def _close_key(daemon: Daemon) -> None:
    (daemon.home / "certs" / "server.key").chmod(0o640)


def _no_room_in_settings(tree: dict[str, Any]) -> None:
    tree["rooms"] = [room for room in tree["rooms"] if room["name"] != "#kept"]


CASES = [
    Case(
        "E206",
        "rev: chat history lobby",
        "chatctl invite create NAME",
        before=("chatctl revoke rev/laptop --yes",),
        cure=("chatd user add rev --device phone",),
        again="rev/phone: chat history lobby",
    ),
    Case(
        "E206",
        "out: chat history lobby",
        "chatd user add out --device NEW",
        before=("chatctl user remove out --yes",),
        cure=("chatd user add out --device phone",),
        again="out/phone: chat history lobby",
    ),
    Case(
        "E207",
        "bob: chat send lobby hello",
        "ask an admin",
        before=("chatctl ban bob",),
        cure=("chatctl unban bob",),
    ),
    Case(
        "E208",
        "bob: chat send lobby hello",
        "ask an admin",
        before=("chatctl kick bob",),
        cure=("chatctl unban bob",),
    ),
    Case("E300", "carl: chatctl users", "ask an admin", cure=("chatctl role set carl admin",)),
    Case(
        "E301",
        "bob: chatctl who private",
        "join it first",
        before=("chatctl room create private --guests",),
        cure=("bob: chat send private hello",),
    ),
    Case(
        "E302",
        "bob: chat send lobby hello",
        "ask an admin",
        before=("chatctl mute bob",),
        cure=("chatctl unmute bob",),
    ),
    Case(
        "E303",
        "bob: chat send @gus hello",
        "ask for another role",
        cure=("chatctl role set gus user",),
    ),
    Case(
        "E305",
        "chatctl role set pia user",
        "edit it there, then: chatd reload",
        before=(setting(lambda tree: tree["roles"]["assigned"].update(pia="guest")), "chatd reload"),
        cure=(setting(lambda tree: tree["roles"]["assigned"].pop("pia")), "chatd reload"),
    ),
    Case(
        "E307",
        "bob: chat send past hello",
        "chatctl room unarchive ROOM",
        before=("chatctl room create past", "bob: chat send past hello", "chatctl room archive past"),
        cure=("chatctl room unarchive past",),
    ),
    Case(
        "E308",
        "chatctl room remove kept --yes",
        "edit it there, then: chatd reload",
        before=(setting(lambda tree: tree["rooms"].append({"name": "#kept"})), "chatd reload"),
        cure=(setting(_no_room_in_settings), "chatd reload"),
    ),
    Case("E400", "bob: chat send lobby hack", "rephrase", again="bob: chat send lobby h-word"),
    Case(
        "E401",
        f"bob: chat send lobby {'x' * 1_000}",
        "split",
        again=f"bob: chat send lobby {'x' * 500}",
        before=(setting(lambda tree: tree["limits"].update(long_text="reject")), "chatd reload"),
    ),
    Case("E402", "bob: chat send lobby ' '", "write some text", again="bob: chat send lobby text"),
    Case(
        "E403",
        "chatctl room create BAD",
        "1 to 32 characters of a-z, 0-9 and . - _, with a letter or digit at both ends",
        again="chatctl room create b-4.d_e",
    ),
    Case("E404", "bob: chat send nowhere hello", "chatctl rooms", again="bob: chatctl rooms"),
    Case("E405", "chatctl whois nobody", "chatctl users", again="chatctl users"),
    Case(
        "E406",
        "chatctl room create twice",
        "choose another name",
        before=("chatctl room create twice",),
        again="chatctl room create twice-2",
    ),
    Case("E410", "chatctl unban bob", "chatctl bans", again="chatctl bans"),
    Case(
        "E410",
        "chatctl kick bob --room kicked",
        "chatctl who ROOM",
        before=("chatctl room create kicked",),
        again="chatctl who kicked",
    ),
    Case(
        "E410",
        "chatctl unmute bob",
        "see /mutes or chatctl mutes",
        before=("chatctl mute bob --room lobby",),
        again="chatctl unmute bob --room lobby",
    ),
    Case(
        "E410",
        "chatctl redact lobby 1 --yes",
        "for the numbers, see: chat history ROOM",
        again="bob: chat history lobby",
    ),
    Case("E411", "bob: chat search '!!!'", "enter a word", again="bob: chat search word"),
    Case("E411", "bob: chat search sinse:2h", "since:2h", again="bob: chat search since:2h"),
    Case("E411", "bob: chat search ho*st", "double quotes", again="""bob: chat search '"ho*st"'"""),
    Case("E412", "chatctl revoke bob/none --yes", "chatctl whois NAME", again="chatctl whois bob"),
    Case(
        "E600",
        "chatd reload",
        "correct config/settings.json",
        before=(setting(lambda tree: tree["server"].update(timeout="soon")),),
        cure=(setting(lambda tree: tree["server"].pop("timeout")),),
    ),
    Case(
        "W110",
        "chatd check",
        "chmod 600 ",
        before=(_close_key,),
        cure=(lambda daemon: (daemon.home / "certs" / "server.key").chmod(0o600),),
    ),
    Case(
        "W111",
        "chatd check",
        "set security.encryption_enabled to true",
        before=(setting(lambda tree: tree["security"].update(encryption_enabled=False)),),
        cure=(setting(lambda tree: tree["security"].update(encryption_enabled=True)),),
    ),
    Case(
        "E606",
        "chatd user add zed --out /nowhere/zed.pem",
        "check the path",
        again="chatd user add zed",
    ),
    Case(
        "E603",
        "chatd status",
        "start",
        before=("chatd stop",),
        cure=("chatd start",),
    ),
    Case(
        "E607",
        "bob: chat send lobby hello --timeout 1",
        "run: chatd start",
        before=("chatd stop",),
        cure=("chatd start",),
    ),
]

# test_advice_tried.py, which needs homes of its own for them.
TRIED_ELSEWHERE = {"E304", "E306", "E601", "E602", "E604", "E605", "E608", "E612"}
_OTHER_PROGRAM = "only another or older program sends this, so that updating is the advice"
_RARE_STATE = "a state of the machine or network that a test cannot cause and mend with commands"
_CERTIFICATE = "needs a certificate that no command issues; NEW_IDENTITY is tried at E206"
_INVITE = "ends as its advice says with another invite or file, which tests/integration tries in whole"
_ROOM_RULES = "an owner or admin decides; the rooms' own tests try it"
_LIMIT = "a limit that takes many requests to reach, or a day to wait for"
NOT_ON_ONE_BOX = (
    dict.fromkeys(("E100", "E101", "E102", "E103", "E104", "E105", "E107", "E210", "E217"), _OTHER_PROGRAM)
    | dict.fromkeys(("E106", "E203", "E204", "E500", "E502", "E503", "E504", "E609", "E610"), _RARE_STATE)
    | dict.fromkeys(("E611", "E613", "E614", "E615", "E618", "E619", "E620", "W114", "W115"), _RARE_STATE)
    | dict.fromkeys(("W112", "W116", "W117", "W118", "W119", "W130", "W131"), _RARE_STATE)
    | dict.fromkeys(("E200", "E201", "E202", "E205", "E209"), _CERTIFICATE)
    | dict.fromkeys(("E506", "E621", "E622"), "a node of a cluster: tests/integration/test_cluster_live.py")
    | dict.fromkeys(("E625", "W120"), "NATS servers of one's own: tests/integration/test_cluster_outside.py")
    | {"E624": "a node that has left; tests/integration/test_cluster_left.py follows it"}
    | {"E623": "the other nodes make a new file; tests/integration/test_cluster_made.py"}
    | {"E415": "a moderator must decide; tests/integration/test_held_live.py has it"}
    | {"E630": "another service must be there; tests/integration/test_refusals.py has several"}
    | dict.fromkeys(("E211", "E212", "E213", "E214", "E215", "E216", "E218", "E219"), _INVITE)
    | dict.fromkeys(("E220", "E221", "E222"), _INVITE)
    | dict.fromkeys(("E309", "E310", "E311", "E312", "E313", "E314"), _ROOM_RULES)
    | dict.fromkeys(("E108", "E408", "E409", "E413", "E414", "E501", "E505"), _LIMIT)
)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    running = Daemon(tmp_path_factory.mktemp("advice-table"))
    running.init()
    running.start()
    for user, role in (
        ("bob", "user"),
        ("carl", "user"),
        ("gus", "guest"),
        ("rev", "user"),
        ("out", "user"),
        ("pia", "guest"),
    ):
        running.add_user(user, role=role)
    yield running
    running.stop()


def run(daemon: Daemon, line: str) -> Done:
    actor, colon, rest = line.partition(": ")
    words = shlex.split(rest if colon else line)
    if not colon:
        program = daemon.chatctl if words[0] == "chatctl" else daemon.chatd
        return program(*words[1:], check=False)
    user, _, device = actor.partition("/")
    identity = str(daemon.identity(user, device or "laptop"))
    if "--identity" not in words:
        words[1:1] = ["--identity", identity]
    return daemon.run(*words, check=False)


def carry_out(daemon: Daemon, steps: tuple[Step, ...]) -> None:
    for step in steps:
        if isinstance(step, str):
            done = run(daemon, step)
            assert done.returncode == 0, (step, done.stderr)
        else:
            step(daemon)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.code} {case.refused[:40]}")
def test_the_advice_ends_the_error(daemon: Daemon, case: Case) -> None:
    carry_out(daemon, case.before)
    refused = run(daemon, case.refused)
    shown = " ".join((refused.stdout + refused.stderr).split())
    assert refused.returncode != 0
    assert case.code in shown
    # What is advised, with the words of this case for those in capitals.
    assert case.advice in shown.partition(case.code)[2], shown
    carry_out(daemon, case.cure)
    done = run(daemon, case.again or case.refused)
    assert done.returncode == 0, done.stderr + done.stdout


def test_every_code_is_tried_or_has_a_reason() -> None:
    tried = {case.code for case in CASES} | TRIED_ELSEWHERE
    assert tried.isdisjoint(NOT_ON_ONE_BOX)
    assert tried | set(NOT_ON_ONE_BOX) == set(CODES)
