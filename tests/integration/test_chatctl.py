"""chatctl against a real daemon: effects, output and exit codes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from chatctl.client import CaughtUp, Client
from chatd.errors import ChatdError
from chatd.pki.identity import read_identity
from tests.support.daemon import BIN, Daemon
from tests.support.lines import next_line

TIMEOUT = 30.0
Completed = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def daemon(shared_daemon: Daemon) -> Daemon:
    for user in ("bob", "carol", "dave"):
        shared_daemon.add_user(user)
    return shared_daemon


@pytest.fixture
def ctl(daemon: Daemon) -> Callable[..., Completed]:
    def run(*arguments: str, as_user: str | None = None) -> Completed:
        if as_user is None:
            return daemon.chatctl(*arguments, check=False, stdin=subprocess.DEVNULL)
        identity = str(daemon.identity(as_user))
        return daemon.run(
            "chatctl", *arguments, "--identity", identity, check=False, stdin=subprocess.DEVNULL
        )

    return run


def data(result: Completed) -> dict[str, Any]:
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    assert found.pop("schema") == 1
    return found


def online(daemon: Daemon, user: str) -> Client:
    client = Client(read_identity(daemon.identity(user)))
    client.start()
    client.wait_connected(TIMEOUT)
    while not isinstance(client.next_event(TIMEOUT), CaughtUp):
        pass
    return client


def error_that_ended(client: Client) -> ChatdError:
    """Wait until a client ends; return its error."""
    while client.next_event(TIMEOUT) is not None:
        pass
    assert client.error is not None
    client.close()
    return client.error


@pytest.mark.parametrize("verb", ["ban", "kick"])
def test_a_banned_or_kicked_user_is_refused_until_unban(
    daemon: Daemon, ctl: Callable[..., Completed], verb: str
) -> None:
    options = ("--for", "2h") if verb == "ban" else ()
    with online(daemon, "bob") as bob:
        preview = data(ctl(verb, "bob", *options, "--dry-run", "--json"))["results"][0]
        assert (preview["sessions"], preview["dry_run"]) == (1, True)
        assert bob.request("ping")
        result = ctl(verb, "bob", *options, "--reason", "device lost")
        assert result.returncode == 0, result.stderr
        assert "closed 1 live session" in result.stdout
        error = error_that_ended(bob)
    assert error.code == {"ban": "E207", "kick": "E208"}[verb]
    assert "device lost" in error.reason
    again = daemon.run("chat", "whoami", "--identity", str(daemon.identity("bob")), check=False)
    assert (again.returncode, again.stdout) == (4, "")
    assert f"({error.code})" in again.stderr
    assert ctl("unban", "bob").stdout == "unbanned bob\n"
    online(daemon, "bob").close()


def test_a_ban_is_listed_until_unban(ctl: Callable[..., Completed]) -> None:
    assert ctl("ban", "carol", "--for", "7d", "--reason", "spam").returncode == 0
    (ban,) = data(ctl("bans", "--json"))["bans"]
    assert (ban["user"], ban["by"], ban["reason"]) == ("carol", "alice", "spam")
    assert abs(ban["until"] - ban["at"] - 7 * 86_400_000) < 1000
    assert "carol" in ctl("user", "bans").stdout
    assert ctl("user", "unban", "carol").returncode == 0
    assert ctl("unban", "carol").returncode == 3
    assert data(ctl("bans", "--json")) == {"bans": []}


def test_partial_success_exits_with_6_and_names_the_failure(ctl: Callable[..., Completed]) -> None:
    result = ctl("ban", "carol", "alice", "--yes", "--json")
    assert result.returncode == 6
    results = json.loads(result.stdout)["results"]
    assert [r.get("error", {}).get("code") for r in results] == [None, "E304"]
    assert "alice" in result.stderr
    ctl("unban", "carol")


@pytest.mark.parametrize("verb", ["kick", "ban", "mute"])
def test_no_user_is_affected_if_one_does_not_exist(
    daemon: Daemon, ctl: Callable[..., Completed], verb: str
) -> None:
    yes = () if verb == "mute" else ("--yes",)
    with online(daemon, "bob") as bob:
        for words in (("spamming", "the room"), ("carol", "x" * 99, "Spamming")):
            result = ctl(verb, "bob", *words, *yes)
            assert (result.returncode, result.stdout) == (3, "")
            assert result.stderr.count("(E405)") == 1
            assert "--reason" in result.stderr
            assert "'bob'" not in result.stderr and "carol" not in result.stderr
        bob.send("#lobby", "still here").wait(TIMEOUT)
    assert data(ctl("bans", "--json")) == {"bans": []}


def test_names_are_checked_before_the_confirmation(ctl: Callable[..., Completed]) -> None:
    result = ctl("kick", "bob", "spamming")
    assert (result.returncode, "--reason" in result.stderr) == (3, True)
    result = ctl("kick", "bob", "carol")
    assert (result.returncode, "Kick 2 users?" in result.stderr) == (2, True)


def test_a_dry_run_of_a_mute_mutes_nobody(daemon: Daemon, ctl: Callable[..., Completed]) -> None:
    with online(daemon, "bob") as bob:
        preview = ctl("mute", "bob", "--room", "lobby", "--dry-run")
        assert preview.stdout == "would be muted: bob in #lobby until an admin ends it\n"
        bob.send("#lobby", "hello").wait(TIMEOUT)


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (("kick", "zed"), 3, "E405"),
        (("who", "nowhere"), 3, "E404"),
        (("revoke", "bob/watch", "--yes"), 3, "E412"),
        (("kick", "alice"), 4, "E304"),
        (("role", "set", "alice", "guest"), 4, "E305"),
        (("role", "set", "bob", "king"), 1, "E403"),
        (("mute", "bob", "--room", "nowhere"), 3, "E404"),
    ],
)
def test_a_refusal_exits_with_its_code(
    ctl: Callable[..., Completed], arguments: tuple[str, ...], code: int, error: str
) -> None:
    result = ctl(*arguments)
    assert (result.returncode, result.stdout) == (code, "")
    assert f"({error})" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [("kick", "carol"), ("ban", "carol"), ("unban", "carol"), ("bans",), ("mutes",), ("mute", "carol"),
     ("users",), ("stats",), ("announce", "x"), ("role", "set", "carol", "admin"),
     ("revoke", "carol/laptop", "--yes")],
)  # fmt: skip
def test_a_user_without_permission_is_refused(
    ctl: Callable[..., Completed], arguments: tuple[str, ...]
) -> None:
    result = ctl(*arguments, as_user="bob")
    assert (result.returncode, result.stdout) == (4, "")
    assert "(E300)" in result.stderr


def test_a_muted_user_cannot_write(daemon: Daemon, ctl: Callable[..., Completed]) -> None:
    with online(daemon, "bob") as bob:
        assert ctl("mute", "bob", "--room", "lobby", "--for", "1h").stdout.startswith(
            "muted bob in #lobby until 20"
        )
        with pytest.raises(ChatdError, match="E302"):
            bob.send("#lobby", "hello").wait(TIMEOUT)
        assert ctl("unmute", "bob", "--room", "lobby").returncode == 0
        bob.send("#lobby", "hello").wait(TIMEOUT)


def test_mutes_are_listed_and_tell_of_the_one_they_replace(ctl: Callable[..., Completed]) -> None:
    assert ctl("mute", "carol", "--for", "2m").stdout.startswith("muted carol until 20")
    (first,) = data(ctl("mutes", "--json"))["mutes"]
    assert (first["user"], first["room"], first["by"]) == ("carol", None, "alice")
    trial = ctl("ban", "carol", "--dry-run").stdout
    assert "replace" not in trial
    again = ctl("mute", "carol", "--reason", "loud").stdout
    assert again.startswith("muted carol until an admin ends it; that replaces one until 20")
    assert ctl("mutes").stdout.splitlines()[1].split()[:3] == ["carol", "-", "-"]
    for command in (("whois", "carol"), ("user", "show", "carol")):
        assert "muted    everywhere until an admin ends it: loud\n" in ctl(*command).stdout
        (told,) = data(ctl(*command, "--json"))["muted"]
        assert (told["until"], told["reason"]) == (None, "loud")
    assert "muted" not in data(ctl("whois", "carol", "--json", as_user="bob"))
    ctl("unmute", "carol")
    assert ctl("mutes").stdout == "none\n"


def test_a_role_change_takes_effect_immediately(daemon: Daemon, ctl: Callable[..., Completed]) -> None:
    assert data(ctl("role", "show", "dave", "--json")) == {"user": "dave", "role": "user", "pinned": False}
    with online(daemon, "dave") as dave:
        assert ctl("role", "set", "dave", "admin").stdout == "dave is now admin\n"
        assert dave.request("stats")["rooms"] >= 1
        assert ctl("role", "set", "dave", "user").returncode == 0
        with pytest.raises(ChatdError, match="E300"):
            dave.request("stats")
    assert set(data(ctl("role", "show", "--json"))["roles"]) == {"admin", "user", "guest"}


def test_revoke_affects_one_device_only(daemon: Daemon, ctl: Callable[..., Completed]) -> None:
    daemon.add_user("dave", device="phone")
    with online(daemon, "dave") as laptop, Client(read_identity(daemon.identity("dave", "phone"))) as phone:
        phone.wait_connected(TIMEOUT)
        unconfirmed = ctl("revoke", "dave/phone")
        assert (unconfirmed.returncode, "--yes" in unconfirmed.stderr) == (2, True)
        assert "would be revoked: dave/phone" in ctl("revoke", "dave/phone", "--dry-run").stdout
        result = ctl("user", "revoke", "dave/phone", "--yes", "--reason", "lost")
        assert result.stdout.startswith("revoked dave/phone  serial ")
        assert error_that_ended(phone).code == "E206"
        assert laptop.request("ping")


def test_revoke_of_a_user_with_several_devices_needs_a_choice(
    daemon: Daemon, ctl: Callable[..., Completed]
) -> None:
    daemon.add_user("erin")
    for device in ("phone", "tablet", "watch"):
        daemon.add_user("erin", device=device)
    unclear = ctl("revoke", "erin", "--yes")
    assert (unclear.returncode, unclear.stdout) == (2, "")
    for word in ("4 devices", "laptop, phone, tablet, watch", "erin/laptop", "--device", "--all"):
        assert word in unclear.stderr
    assert ctl("revoke", "erin/phone", "--all").returncode == 2
    unconfirmed = ctl("revoke", "erin", "--all")
    assert (unconfirmed.returncode, "--yes" in unconfirmed.stderr) == (2, True)
    two = ctl("revoke", "erin", "--device", "phone", "--device", "watch", "--yes", "--json")
    assert [one["device"] for one in data(two)["results"]] == ["phone", "watch"]
    partly = ctl("revoke", "erin", "--device", "phone", "--device", "tablet", "--yes")
    assert (partly.returncode, "E410" in partly.stderr) == (6, True)
    with online(daemon, "erin") as erin:
        erin.request("device_add", secret_hash="0e" * 32, seconds=3600)
        [row] = data(ctl("cert", "list", "erin", "--expiring", "366d", "--json"))["certificates"]
        assert (row["device"], row["sessions"], row["by"]) == ("laptop", 1, "server")
        last = ctl("revoke", "erin", "--yes")
        assert last.stdout.startswith("revoked erin/laptop  serial ")
        assert "closed 1 live session" in last.stdout and "open invites of erin: 1" in last.stdout
        assert error_that_ended(erin).code == "E206"
    assert ctl("revoke", "erin", "--yes").returncode == 3
    states = {
        one["device"]: one["state"] for one in data(ctl("device", "list", "erin", "--json"))["certificates"]
    }
    assert states == dict.fromkeys(("laptop", "phone", "tablet", "watch"), "revoked")
    own = ctl("device", "list", as_user="bob").stdout.splitlines()
    assert own[0].split() == ["device", "state", "issued", "ends", "seen", "sessions"]
    assert ctl("cert", "list", as_user="bob").returncode == 4


def test_lists_show_users_rooms_and_members(ctl: Callable[..., Completed]) -> None:
    users = {user["user"]: user for user in data(ctl("users", "--json"))["users"]}
    assert {"alice", "bob", "carol", "dave"} <= set(users)
    assert (users["alice"]["role"], users["alice"]["pinned"]) == ("admin", True)
    assert [room["room"] for room in data(ctl("room", "list", "--json"))["rooms"]] == ["#lobby"]
    members = {member["user"]: member["state"] for member in data(ctl("who", "lobby", "--json"))["members"]}
    assert members["alice"] == "online"
    for command in ("users", "rooms", "stats", "bans"):
        assert ctl(command).returncode == 0


def test_search_finds_only_readable_messages(daemon: Daemon, ctl: Callable[..., Completed]) -> None:
    with online(daemon, "bob") as bob:
        bob.send("#lobby", "the vole is in the wiring").wait(TIMEOUT)
    found = data(ctl("search", "vole", "from:bob", "in:#lobby", "since:1h", "--json"))
    assert (found["user"], found["body"]) == ("bob", "the vole is in the wiring")
    assert data(ctl("search", "vole", "--json", as_user="carol"))["seq"] == found["seq"]
    nothing = ctl("search", "vole", "from:carol")
    assert (nothing.returncode, nothing.stdout) == (0, "")


def test_a_list_of_several_pages_is_complete(daemon: Daemon, ctl: Callable[..., Completed]) -> None:
    with Client(read_identity(daemon.identity("alice", "console")), live=False) as alice:
        for n in range(60):
            alice.request("create", room=f"#long-{n:03}", topic="t" * 256)
        assert len(data(ctl("rooms", "--json"))["rooms"]) == 61
        for n in range(60):
            alice.request("part", room=f"#long-{n:03}")


def test_stats_count_and_show_every_process(daemon: Daemon, ctl: Callable[..., Completed]) -> None:
    before = data(ctl("stats", "--json"))
    with online(daemon, "bob") as bob:
        bob.send("#lobby", "counted").wait(TIMEOUT)
        after = data(ctl("server", "stats", "--json"))
        assert after["messages"]["accepted"] > before["messages"]["accepted"]
        assert after["connections"]["now"] == 2
    assert {"hub", "worker-1", "worker-2"} <= {process["name"] for process in after["processes"]}


def test_stats_watch_prints_stats_repeatedly(daemon: Daemon) -> None:
    command = [
        str(BIN / "chatctl"), "stats", "--watch", "--json", "--interval", "0.2",
        "--identity", str(daemon.identity("alice", "console")),
    ]  # fmt: skip
    watcher = subprocess.Popen(
        ["/usr/bin/env", *command],
        env=daemon.environ,
        stdout=subprocess.PIPE,
        text=True,
        stderr=subprocess.PIPE,
    )
    with watcher:
        assert watcher.stdout is not None and watcher.stderr is not None
        uptimes = [json.loads(next_line(watcher, "the stats"))["uptime"] for _ in range(3)]
        assert uptimes == sorted(uptimes)
        watcher.stdout.close()
        assert watcher.stderr.read() == ""


def test_an_announcement_reaches_other_users(daemon: Daemon, ctl: Callable[..., Completed]) -> None:
    with online(daemon, "bob") as bob:
        assert ctl("announce", "going", "down").returncode == 0
        while (event := bob.next_event(TIMEOUT)) is not None:
            if event.__class__.__name__ == "Announcement":
                break
        assert getattr(event, "body", None) == "going down"


def test_the_home_option_selects_the_server(daemon: Daemon, ctl: Callable[..., Completed]) -> None:
    for arguments in (("--home", str(daemon.home), "bans"), ("bans", "--home", str(daemon.home))):
        assert daemon.run("chatctl", *arguments, check=False).returncode == 0


def test_an_unreachable_server_exits_with_5_immediately(daemon: Daemon, tmp_path: object) -> None:
    identity = daemon.identity("alice", "console").read_text()
    elsewhere = daemon.home / "elsewhere.pem"
    elsewhere.write_text(identity.replace(f":{daemon.port}", ":1"))
    elsewhere.chmod(0o600)
    result = daemon.run("chatctl", "stats", "--identity", str(elsewhere), check=False)
    assert (result.returncode, result.stdout) == (5, "")
    assert "(E607)" in result.stderr
    assert "trying" not in result.stderr
    result = daemon.run("chat", "send", "lobby", "x", "--identity", str(elsewhere), check=False)
    assert (result.returncode, result.stdout) == (5, "")
    assert "; trying for 4 seconds" in result.stderr
    assert "(E607). on the server's box run: chatd start" in result.stderr
    send = ("chat", "send", "lobby", "x", "--identity", str(elsewhere), "--timeout", "1")
    result = daemon.run(*send, check=False)
    assert (result.returncode, result.stdout) == (5, "")
    assert "trying" not in result.stderr


@pytest.mark.parametrize("words", [("whois", "nil"), ("kick", "nil"), ("room", "archive", "nil")])
def test_an_error_names_its_command(ctl: Callable[..., Completed], words: tuple[str, ...]) -> None:
    command = " ".join(words[:-1])
    assert ctl(*words).stderr.startswith(f"chatctl {command}: error: ")


def test_users_and_whois_show_devices_and_rooms(ctl: Callable[..., Completed]) -> None:
    lines = [line.split() for line in ctl("users", "--devices").stdout.splitlines()]
    assert lines[0] == ["user", "role", "device", "revoked", "online"]
    assert ["alice", "admin", "console", "no", "yes"] in lines
    shown = ctl("whois", "alice").stdout
    assert "console" in shown
    assert "rooms    #lobby" in shown
    assert "bytes today" in shown
    assert ctl("bans").stdout == "none\n"
