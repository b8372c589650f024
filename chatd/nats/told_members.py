"""The members of the cluster, as one node tells them to the others; in force at the next start of each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from chatd.config.loading import load_settings, write_settings
from chatd.config.schema import Settings
from chatd.config.sections import ServerSection
from chatd.errors import ChatdError
from chatd.logs.logger import get_log
from chatd.nats.answer_fields import read_answer
from chatd.pki.node_authority import write_pins

MEMBERS_SUBJECT: Final = "chatd.members."

log = get_log("audit")


class Members(NamedTuple):
    """``members`` and one more ``address`` are for the settings, ``pins`` for `write_pins`.

    ``address`` is "" if no node comes in. ``former`` are the addresses, HOST:PORT, at which clients reached a
    node that is no member any more.
    """

    members: dict[str, str]
    pins: dict[str, str]
    address: str = ""
    former: Sequence[str] = ()


class MembersAnswer(NamedTuple):
    """``problem`` says why the node has not taken them; "" if it has."""

    problem: str


def take_members(
    home: Path, data: bytes, taken: Callable[[frozenset[str]], None] = lambda _: None
) -> MembersAnswer:
    """Write the members that another node tells into the settings and certificates of a home.

    Their names are then given to ``taken``.
    """
    try:
        told = read_answer(Members, data)
        store_members(home, told)
    except (ValueError, TypeError, AttributeError) as error:
        return MembersAnswer(f"it cannot be read: {error}")
    except ChatdError as error:
        return MembersAnswer(error.reason)
    log.info("cluster_members_changed", members=sorted(told.members))
    taken(frozenset(told.members))
    return MembersAnswer("")


def store_members(home: Path, told: Members) -> None:
    """Write the members. Raises ValueError if they do not include this node, TypeError, E600, E606."""
    settings = load_settings(home, {})
    tree = settings.model_dump(mode="json")
    cluster, server = tree["cluster"], tree["server"]
    if isinstance(told.former, str) or not all(isinstance(one, str) for one in told.former):
        raise ValueError("its former addresses are no list")
    if told.members.get(settings.cluster.node) != settings.cluster.members.get(settings.cluster.node):
        raise ValueError("it does not name this node as it is")
    cluster["members"] = told.members
    kept = addresses_without(settings.server, told.former)
    new = [told.address] if told.address else []
    server["addresses"] = list(dict.fromkeys([*kept, *new]))
    changed = Settings.model_validate(tree)
    # The keys first: without one a member would be refused, and a key alone lets nobody in who has no route.
    write_pins(home / "certs", told.pins)
    write_settings(home, changed)


def addresses_without(server: ServerSection, former: Collection[str]) -> list[str]:
    """Return the addresses for clients as they are written, but for the former ones, which are HOST:PORT."""
    written = server.addresses
    return [one for one in written if one not in former and f"{one}:{server.port}" not in former]
