"""Carry unsent input over from the identity that another one of the same person has replaced.

Drafts and outbox are in a folder named after an identity's key, where the next identity does not look.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from chatctl.client import Sent, left_behind, state_folder
from chatctl.model.conversation import typed_again
from chatctl.window.drafts import take_over
from chatd.durable_files import old_name
from chatd.errors import ChatdError
from chatd.pki.identity import Identity, read_identity
from chatd.proto.text import conversation_at

# Conversations named in a note.
NAMED = 3


def carry_over(new: Identity, environ: Mapping[str, str]) -> str:
    """Move the drafts and unsent messages of the identity that ``new`` replaced into drafts of ``new``.

    Returns what to tell the person, "" for nothing. Those of another person, or for another server, stay.
    """
    try:
        former = read_identity(old_name(new.path))
        places = state_folder(former, environ), state_folder(new, environ)
        if places[0] == places[1]:
            return ""
        if (former.user, former.instance) == (new.user, new.instance):
            return _move(*places, former.user)
        # Told once: at the first start of the new one.
        left = 0 if places[1].exists() else left_behind(places[0])
    except (ChatdError, OSError):
        return ""  # there is no former one, or it cannot be used; all stays where it is
    whose = f"{former.user} on {former.instance}"
    return f"{_count(left)} of {whose}: kept for {former.path}" if left else ""


def _move(old: Path, new: Path, me: str) -> str:
    back: list[str] = []

    def take(unsent: list[Sent]) -> list[str]:
        texts = [(conversation_at(sent.to, me), typed_again(sent)) for sent in unsent]
        moved = [sent for sent, fits in zip(unsent, take_over(old, new, texts), strict=True) if fits]
        back.extend(sent.to for sent in moved)
        return [sent.msg_id for sent in moved]

    take_over(old, new, [])
    left = left_behind(old, take)
    where = ", ".join(list(dict.fromkeys(back))[:NAMED])
    told = [f"{_count(len(back))}: back in the input of {where}"] if back else []
    return "; ".join([*told, *([f"{_count(left)}, and not put back: too many"] if left else [])])


def _count(messages: int) -> str:
    return f"{messages:,} {'message was' if messages == 1 else 'messages were'} not sent"
