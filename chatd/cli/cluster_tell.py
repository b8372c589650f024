"""Tell the other nodes of a cluster that its members change: they take it up with their next start."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from chatd.cli.addresses import split_address
from chatd.config.home import Home
from chatd.config.schema import Settings
from chatd.console.pasting import chatd_command
from chatd.errors import ChatdError
from chatd.nats.told_members import Members

if TYPE_CHECKING:
    from chatd.nats.cluster_view import ClusterView


def seen_cluster(home: Home, settings: Settings) -> ClusterView:
    """Return what this home's NATS server sees of all nodes. Raises E603 if it does not run."""
    from chatd.nats.cluster_view import view_cluster  # nats-py is an optional dependency

    try:
        return view_cluster(home.path, len(settings.cluster.members))
    except OSError as error:
        raise ChatdError("E603", str(error), f"run: {chatd_command(home.path, 'start')}") from None


def require_there(view: ClusterView, nodes: Collection[str]) -> None:
    """Raise E607 if one of the nodes does not answer."""
    if missing := [name for name in nodes if name not in view.nodes]:
        which = f"node {missing[0]} does" if len(missing) == 1 else f"nodes {', '.join(missing)} do"
        raise ChatdError("E607", f"{which} not answer, and must know of it", "start it first")


def tell_all(home: Home, told: Members, nodes: Sequence[str]) -> None:
    """Tell the members to each of the nodes. Raises E607 for those that do not take them.

    The others have taken them nevertheless; whoever is told twice is not changed by it.
    """
    from chatd.nats.cluster_view import tell_members

    problems: list[str] = []
    for name in nodes:
        try:
            problem = tell_members(home.path, name, told)
        except OSError as error:
            problem = str(error)
        if problem:
            problems.append(f"node {name} has not taken the new members: {problem}")
    if problems:
        raise ChatdError("E607", "; ".join(problems), "run this command again: telling twice does no harm")


def former_addresses(settings: Settings, old: str, named: str | None) -> list[str]:
    """Return where clients reached a node, HOST:PORT; nothing if the settings do not tell. Raises E404."""
    known = settings.server.client_addresses
    if named is not None:
        if named not in known:
            reason = f"{named} is not in server.addresses: {', '.join(known) or 'nothing'}"
            raise ChatdError("E404", reason, "name one of them")
        return [named]
    hosts = {name: split_address(route, 0)[0] for name, route in settings.cluster.members.items()}
    host = hosts.pop(old)
    # Of two nodes on one machine, the host does not tell whose address it is.
    return [] if host in hosts.values() else [one for one in known if split_address(one, 0)[0] == host]
