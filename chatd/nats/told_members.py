"""The members of the cluster, as one node tells them to the others; in force at the next start of each."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from chatd.config.loading import load_settings, write_settings
from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.logs.logger import get_log
from chatd.nats.answer_fields import read_answer
from chatd.pki.node_authority import write_pins

MEMBERS_SUBJECT: Final = "chatd.members."

log = get_log("audit")


class Members(NamedTuple):
    """``members`` and one more ``address`` are for the settings, ``pins`` for `write_pins`."""

    members: dict[str, str]
    pins: dict[str, str]
    address: str


class MembersAnswer(NamedTuple):
    """``problem`` says why the node has not taken them; "" if it has."""

    problem: str


def take_members(home: Path, data: bytes) -> MembersAnswer:
    """Write the members that another node tells into the settings and certificates of a home."""
    try:
        told = read_answer(Members, data)
        store_members(home, told)
    except (ValueError, TypeError, AttributeError) as error:
        return MembersAnswer(f"it cannot be read: {error}")
    except ChatdError as error:
        return MembersAnswer(error.reason)
    log.info("cluster_members_changed", members=sorted(told.members))
    return MembersAnswer("")


def store_members(home: Path, told: Members) -> None:
    """Write the members. Raises ValueError if they do not include this node, E600, E606."""
    settings = load_settings(home, {})
    tree = settings.model_dump(mode="json")
    cluster, server = tree["cluster"], tree["server"]
    if told.members.get(settings.cluster.node) != settings.cluster.members.get(settings.cluster.node):
        raise ValueError("it does not name this node as it is")
    cluster["members"] = told.members
    server["addresses"] = list(dict.fromkeys([*server["addresses"], told.address]))
    changed = Settings.model_validate(tree)
    # The keys first: without one a member would be refused, and a key alone lets nobody in who has no route.
    write_pins(home / "certs", told.pins)
    write_settings(home, changed)
