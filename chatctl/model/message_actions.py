"""Carry out the commands that concern one message: edit, delete, react, acknowledge."""

from __future__ import annotations

from chatctl.model import answers, held_rows
from chatctl.model.conversation import TimelineRow
from chatctl.model.grammar import CommandCall, first_word
from chatctl.model.render import safe, snippet
from chatctl.model.surface import Surface
from chatd.errors import ChatdError
from chatd.proto.request_bounds import REACTION_CHARS

# How many of the latest messages /redact NAME and /delete list.
CANDIDATES = 5
SEQ_DIGITS = 16
# An action, so that clients show the author's name before it.
ACKNOWLEDGED = "acknowledged this"
# How many authors are named when somebody asks for a message of nobody.
AUTHORS_NAMED = 8


async def edit(surface: Surface, call: CommandCall) -> None:
    word, text = first_word(call["text"])
    if is_number(word):
        row = surface.model.here.message(int(word))
        if row is not None and row.user != surface.model.me:
            raise ChatdError("E310", f"message {word} is {row.user}'s", f"reply to it: /reply {word} TEXT")
        if row is None:
            fix = "to begin the new text with a number, write the message's number before it"
            raise ChatdError("E410", f"message {word} is not among yours here", fix)
    else:
        row, text = surface.model.last_own_message(), call["text"]
    if row is None:
        raise ChatdError("E410", "no message of yours is known here", "see /history")
    if not text:
        raise ChatdError("E402", "the new text is missing", f"write: /edit {row.seq} TEXT")
    surface.edit(row.seq, text)


async def delete(surface: Surface, call: CommandCall) -> None:
    to, room = call["number"], surface.model.require_current()
    if to is not None:
        row = surface.model.here.message(to)
        await surface.ask("delete", room=room, seq=to, reason=call["reason"])
        if row is not None:
            surface.note(f"deleted: {snippet(row.body)}")
        return
    # Deleting cannot be undone: the number has to be typed.
    found = surface.model.here.matching(surface.model.me)[-CANDIDATES:]
    if not found:
        raise ChatdError("E410", "no message of yours is known here", "see /history")
    for row in found:
        surface.note(f"/delete {row.seq} deletes: {snippet(row.body)}")


async def withdraw(surface: Surface, call: CommandCall) -> None:
    model, to = surface.model, call["number"]
    if to is None:
        waiting = [(seq, one.name) for one in model.conversations.values() for seq in held_rows.waiting(one)]
        here = [(seq, name) for seq, name in waiting if name == model.current]
        if not waiting:
            raise ChatdError("E410", "no message of yours is known to wait", "write: /withdraw NUMBER")
        if not here and len(waiting) > 1:
            listed = ", ".join(f"{seq} in {safe(name)}" for seq, name in sorted(waiting)[-CANDIDATES:])
            raise ChatdError("E410", f"several of your messages wait: {listed}", "write: /withdraw NUMBER")
        to = max(here or waiting)[0]
    await surface.ask("held_withdraw", seq=to)


async def react(surface: Surface, call: CommandCall) -> None:
    model, text = surface.model, call["text"]
    room = model.require_current()
    if len(text) > REACTION_CHARS:
        raise ChatdError("E401", f"a reaction has at most {REACTION_CHARS} characters", "write a shorter one")
    seq = _seq_of(surface, call["to"])
    row = model.here.message(seq)
    given = row is not None and any(one.mine and one.text == text for one in row.reactions)
    await surface.ask("react", room=room, seq=seq, text=text, on=not given)


async def ack(surface: Surface, call: CommandCall) -> None:
    """Answer an alert with an action, which stays in its thread with its author and time."""
    seq, note = _seq_of(surface, call["to"]), call["reason"]
    surface.say(f"{ACKNOWLEDGED}: {note}" if note else ACKNOWLEDGED, kind="action", reply_to=seq)


async def reactions(surface: Surface, call: CommandCall) -> None:
    room, seq = surface.model.require_current(), _seq_of(surface, call["to"])
    result = await surface.ask("reactions", room=room, seq=seq)
    surface.show(answers.reactions(seq, result))


def is_number(word: str) -> bool:
    """Whether a word is the number of a message."""
    return word.isascii() and word.isdigit() and len(word) <= SEQ_DIGITS


def _seq_of(surface: Surface, to: str) -> int:
    if is_number(to):
        return int(to)
    found: list[TimelineRow] = surface.model.here.matching(to, surface.model.times)
    if not found:
        raise unknown_message(surface, to, ", or a NUMBER as chat history prints it")
    return found[-1].seq


def unknown_message(surface: Surface, to: str, other: str = "") -> ChatdError:
    """Say whose messages are known, since a name is what most people give."""
    authors = sorted({row.user for row in surface.model.here.rows if row.user})[:AUTHORS_NAMED]
    whom = f"one of {', '.join(authors)}" if authors else "nobody has written yet; after /history: a NAME"
    return ChatdError("E410", f"no message of {to!r} is known here", f"give {whom}, a TIME as shown{other}")
