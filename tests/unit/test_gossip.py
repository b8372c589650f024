"""One view of who is there: sessions of all nodes, their changes, what is lost, and nodes that are gone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from chatd.config.schema import Settings
from chatd.config.sections import LimitsSection
from chatd.hub.peers import gossip
from chatd.hub.peers.gossip import ALL_SECONDS, SILENCE_SECONDS
from chatd.hub.peers.peer_desk import PeerDesk
from chatd.proto.frames import JsonObject
from tests.support.two_hubs import TwoHubs


@pytest.fixture
def hubs(tmp_path: Path) -> Iterator[TwoHubs]:
    """Two hubs with ada, an admin, at the leader (session 1, live), and bob at the follower (1, live)."""
    hubs = TwoHubs(tmp_path, Settings(limits=LimitsSection(sessions_per_user=3)))
    for name in ("ada", "bob"):
        for device in ("dev", "phone"):
            assert hubs.ask(
                hubs.operator, 0, "user_add", user=name, device=device, serial=f"{name[0]}{len(device)}"
            )
    hubs.ask(hubs.operator, 0, "role_set", user="ada", role="admin")
    assert hubs.open_session(hubs.workers[0], 1, "ada", "dev", "a3")
    assert hubs.open_at_beta(1, "bob", "dev", "b3")
    hubs.ask(hubs.workers[0], 1, "resume")
    hubs.ask_beta(1, "resume")
    hubs.exchange()
    heard(hubs)
    yield hubs
    hubs.close()


def heard(hubs: TwoHubs) -> dict[str, list[tuple[str, str, str | None]]]:
    """Return the presence that both sides were told of since the last call: user, state, cause."""
    found = {}
    for name, end in (("ada", hubs.workers[0]), ("bob", hubs.beta.worker)):
        events = [event for _, event in end.delivered if event["type"] == "presence"]
        found[name] = [(event["user"], event["state"], event.get("cause")) for event in events]
        end.delivered.clear()
    return found


def who(hubs: TwoHubs) -> tuple[dict[str, str], dict[str, str]]:
    """Return the state of each member of the lobby, as ada and as bob are told."""
    at_alpha = hubs.ask(hubs.workers[0], 1, "who", room="#lobby")
    at_beta = hubs.ask_beta(1, "who", room="#lobby")

    def states(reply: JsonObject | None) -> dict[str, str]:
        assert reply is not None
        return {member["user"]: member["state"] for member in reply["result"]["members"]}

    return states(at_alpha), states(at_beta)


def test_both_nodes_see_everybody(hubs: TwoHubs) -> None:
    online = {"ada": "online", "bob": "online"}
    assert who(hubs) == (online, online)


def test_comings_and_goings_are_told_once_at_each_node(hubs: TwoHubs) -> None:
    assert hubs.open_at_beta(2, "ada", "phone", "a5")
    hubs.exchange()
    told = heard(hubs)
    assert [event for event in told["bob"] if event[2] is None] == [], "she was online before"
    hubs.close_session(hubs.workers[0], 1)
    hubs.exchange()
    assert heard(hubs)["bob"] == []
    hubs.beta.hub.take(hubs.beta.worker.link, [(["close", 2], b"")])
    hubs.beta.worker.sessions.discard(2)
    hubs.exchange()
    assert heard(hubs)["bob"] == [("ada", "offline", None)]
    assert hubs.open_session(hubs.workers[0], 3, "ada", "dev", "a3")
    hubs.exchange()
    assert heard(hubs)["bob"] == [("ada", "online", None)]


def test_a_first_login_is_told_at_all_nodes(hubs: TwoHubs) -> None:
    for name, opens in (("beta", hubs.open_at_beta), ("alpha", partial(hubs.open_session, hubs.workers[0]))):
        device, serial = f"dev-{name}", f"{len(name)}a"
        hubs.ask(hubs.operator, 0, "user_add", user="ada", device=device, serial=serial, key="0a" * 32)
        assert opens(6, "ada", device, serial)
        hubs.exchange()
        told = heard(hubs)
        assert told["ada"] == told["bob"] == [("ada", "online", "new device")], name


def test_a_users_first_session_is_told_once(hubs: TwoHubs) -> None:
    hubs.ask(hubs.operator, 0, "user_add", user="eve", device="dev", serial="e1", key="0b" * 32)
    assert hubs.open_session(hubs.workers[0], 6, "eve", "dev", "e1")
    hubs.exchange()
    assert heard(hubs)["ada"] == [("eve", "online", "new device")]


def test_an_away_text_holds_at_all_nodes(hubs: TwoHubs) -> None:
    hubs.ask_beta(1, "away", text="lunch")
    hubs.exchange()
    told = heard(hubs)
    assert told["ada"] == told["bob"] == [("bob", "away", None)]
    reply = hubs.ask(hubs.workers[0], 1, "whois", user="bob")
    assert reply is not None
    assert (reply["result"]["state"], reply["result"]["text"]) == ("away", "lunch")
    assert hubs.open_session(hubs.workers[0], 2, "bob", "phone", "b5")
    hubs.ask(hubs.workers[0], 2, "away", text="")
    hubs.exchange()
    assert who(hubs)[1]["bob"] == "online"


def test_sessions_of_a_user_are_counted_at_all_nodes(hubs: TwoHubs) -> None:
    assert hubs.open_at_beta(2, "ada", "phone", "a5")
    assert hubs.open_at_beta(3, "ada", "phone", "a5")
    hubs.exchange()
    assert not hubs.open_session(hubs.workers[0], 9, "ada", "dev", "a3")
    assert not hubs.open_at_beta(9, "ada", "dev", "a3")


@pytest.mark.parametrize(
    ("kind", "fields", "cause"),
    [("kick", {}, "kicked"), ("ban", {}, "banned"), ("revoke", {"device": "dev"}, None)],
    ids=["kick", "ban", "revoke"],
)
def test_a_cut_ends_sessions_at_every_node_and_is_told_once(
    hubs: TwoHubs, kind: str, fields: JsonObject, cause: str | None
) -> None:
    assert hubs.open_session(hubs.workers[0], 2, "bob", "dev", "b3")
    assert hubs.open_at_beta(2, "ada", "phone", "a5")
    hubs.ask_beta(2, "resume")
    hubs.exchange()
    heard(hubs)
    reply = hubs.ask_beta(2, kind, user="bob", **fields)
    assert reply is not None
    assert (reply["type"], reply["result"]["sessions"]) == ("ok", 2)
    hubs.exchange()
    assert 2 not in hubs.workers[0].sessions
    assert hubs.beta.worker.sessions == {2}
    told = heard(hubs)
    assert told["ada"] == told["bob"] == [("bob", "offline", cause)]


def test_what_is_lost_is_told_again(hubs: TwoHubs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gossip, "_PART", 1)
    hubs.network.isolate("beta")
    hubs.beta.hub.take(hubs.beta.worker.link, [(["close", 1], b"")])
    hubs.beta.worker.sessions.discard(1)
    hubs.exchange()
    hubs.network.cut.clear()
    assert hubs.open_at_beta(2, "ada", "phone", "a5")
    hubs.exchange()
    assert hubs.hub.sessions.state_of("bob") == ("online", ""), "the message was lost"
    hubs.seconds += ALL_SECONDS
    hubs.exchange()
    assert hubs.hub.sessions.state_of("bob") == ("offline", "")
    assert heard(hubs)["ada"][-1] == ("bob", "offline", None)


def test_the_sessions_of_a_silent_node_end(hubs: TwoHubs) -> None:
    hubs.network.isolate("beta")
    hubs.seconds += SILENCE_SECONDS - 1
    hubs.exchange()
    assert hubs.hub.sessions.state_of("bob") == ("online", "")
    hubs.seconds += 1
    hubs.exchange()
    told = heard(hubs)
    assert (told["ada"], told["bob"]) == ([("bob", "offline", None)], [("ada", "offline", None)])
    hubs.network.cut.clear()
    hubs.seconds += ALL_SECONDS
    hubs.exchange()
    told = heard(hubs)
    assert (told["ada"], told["bob"]) == ([("bob", "online", None)], [("ada", "online", None)])


def test_a_hub_that_begins_anew_has_time_to_tell_of_its_sessions(hubs: TwoHubs) -> None:
    assert hubs.open_at_beta(2, "ada", "phone", "a5")
    hubs.exchange()
    hubs.close_session(hubs.workers[0], 1)
    hubs.beta.hub.link_lost(hubs.beta.worker.link)
    hubs.beta_desk = PeerDesk(hubs.beta.hub, hubs.network.link("beta"), lambda: hubs.seconds)
    hubs.beta.hub.sessions.take_changed()
    hubs.beta.hub.links[hubs.beta.worker.link.number] = hubs.beta.worker.link
    assert hubs.open_at_beta(5, "bob", "dev", "b3")
    hubs.exchange()
    state_of = hubs.hub.sessions.state_of
    assert (state_of("ada"), state_of("bob")) == (("online", ""), ("online", ""))
    for _ in range(6):
        hubs.seconds += 1
        hubs.exchange()
    assert (state_of("ada"), state_of("bob")) == (("offline", ""), ("online", ""))
