"""Whether this hub decides: one hub of a cluster does, the others follow it."""

from __future__ import annotations

from collections.abc import Callable

from chatd.hub.reads import Asker
from chatd.hub.state.context import decided_elsewhere
from chatd.proto.requests import AnyRequest


class Leadership:
    """Whether this hub decides. Without a cluster it always does.

    While ``leads`` is False, nothing becomes an event here: `Context.emit` refuses it, a request whose
    ``Spec.decides`` goes to ``elsewhere`` (with the digest of its text), and admission, upkeep, settings and
    acts of operators leave out what they would record. The hub that begins to lead makes up for it
    (`Hub.take_lead`). ``leader`` is the node that decides as far as this one knows.
    """

    def __init__(self, *, leads: bool = True, leader: str = "") -> None:
        self.leads = leads
        self.leader = leader
        self.elsewhere: Callable[[Asker, AnyRequest, bytes], None] = self._refuse

    def _refuse(self, _: Asker, __: AnyRequest, ___: bytes) -> None:
        raise decided_elsewhere(self.leader)
