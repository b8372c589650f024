"""Guests: users whose time ends by itself, and the sponsors who answer for them.

The time is in the state. The hub's clock only says when the event that ends it is due, and until that event
every decision compares the time itself.
"""

from __future__ import annotations

from chatd.errors import ChatdError
from chatd.hub.state import leaving
from chatd.hub.state.context import Context, unknown_user
from chatd.hub.state.cuts import Cut, duration_text, ended_error
from chatd.hub.state.guest_book import Guest
from chatd.hub.state.model import SERVER
from chatd.hub.state.queries import page_of
from chatd.proto import guest_requests as rq
from chatd.proto.frames import JsonObject
from chatd.proto.text import visible

# Guests with an event in one commit: each end leaves some rooms.
AT_ONCE = 20
_LONGEST_MS = rq.LONGEST_GUEST * 1000


def list_guests(context: Context, request: rq.GuestList) -> JsonObject:
    """List the asker's guests, or all."""
    book = context.state.guests.by_name
    names = sorted(name for name, one in book.items() if name > request.after and _answers_for(context, one))

    def entry(name: str) -> JsonObject:
        one = book[name]
        state = "here" if one.holds(context.now) else "ended"
        return {"user": name, "sponsor": one.sponsor, "ends": one.ends, "state": state}

    return page_of("guests", names, entry)


def extend(context: Context, request: rq.GuestExtend) -> JsonObject:
    """Set a later end. Raises E405, E410, E409."""
    guest = _mine(context, request.user)
    ends = guest.ends + request.seconds * 1000
    if ends > context.now + _LONGEST_MS:
        longest = duration_text(0, _LONGEST_MS)
        raise ChatdError("E409", f"a guest stays at most another {longest}", "extend by less")
    context.emit("guest_set", user=request.user, ends=ends, sponsor=guest.sponsor, by=context.who.user)
    return {"user": request.user, "ends": ends}


def end(context: Context, request: rq.GuestEnd) -> JsonObject:
    """End a guest's time now. Raises E405, E410."""
    _mine(context, request.user)
    sessions, workers = context.presence.sessions_of(request.user)
    left = leaving.told(context, request.user, leaving.all_of(context, request.user))
    if not request.dry_run:
        _end(context, request.user, context.who.user, visible(request.reason, newlines=False))
    result = {"user": request.user, "sessions": sessions, "workers": workers, "dry_run": request.dry_run}
    return result | left


def advance(context: Context) -> None:
    """Emit the reminders and ends that are due."""
    book = context.state.guests
    for name in book.due(context.now, AT_ONCE):
        guest = book.by_name[name]
        if not guest.holds(context.now):
            _end(context, name, SERVER, "")
        else:
            context.emit("guest_reminded", user=guest.sponsor, guest=name, ends=guest.ends)


def overdue(context: Context) -> list[Cut]:
    """Return the cuts of guests whose end cannot be recorded now, because the disk is full."""
    names = context.state.guests.due(context.now, len(context.state.guests.by_name))
    ended = (name for name in names if context.state.guests.has_ended(name, context.now))
    return [Cut(name, None, ended_error(name)) for name in ended if context.presence.sessions_of(name)[0]]


def welcome(context: Context, user: str, ends: int | None, sponsor: str, *, by: str) -> None:
    """Note when a user who was just registered ends. Without that, an ended guest becomes one who stays."""
    if ends is not None or context.state.guests.has_ended(user, context.now):
        context.emit("guest_set", user=user, ends=ends, sponsor=sponsor, by=by)


def refuse_ended(context: Context, user: str) -> None:
    """Raise E219 for a guest whose time has ended."""
    if context.state.guests.has_ended(user, context.now):
        raise ended_error(user, context.state.guests.by_name[user].why)


def refuse_sponsor(context: Context, sponsor: str, guest: str, ends: int) -> None:
    """Refuse a sponsor who cannot answer for a guest, and an end that is too far. Raises E405, E304, E409."""
    if sponsor not in context.state.users and not (context.who.operator and sponsor == SERVER):
        if context.state.invites.open_for(sponsor, context.now):
            fix = "wait for that, or name another sponsor"
            raise ChatdError("E405", f"{sponsor} is invited, but has not joined yet", fix)
        raise unknown_user(sponsor)
    if sponsor == guest or sponsor in context.state.guests.by_name:
        raise ChatdError("E304", f"{sponsor} cannot be the sponsor of {guest}", "name a user who stays")
    if not context.now < ends <= context.now + _LONGEST_MS:
        raise ChatdError("E409", f"a guest stays at most {duration_text(0, _LONGEST_MS)}")


def _end(context: Context, user: str, by: str, reason: str) -> None:
    leaving.leave_all(context, user, by=by, reason=reason or "a guest whose time has ended")
    context.emit("guest_ended", user=user, by=by, reason=reason)


def _answers_for(context: Context, guest: Guest) -> bool:
    return guest.sponsor == context.who.user or context.allows("guest.manage")


def _mine(context: Context, user: str) -> Guest:
    """Return a guest for whom the asker answers. Raises E405 for all others alike, E410 after the end."""
    guest = context.state.guests.by_name.get(user)
    if guest is None or not _answers_for(context, guest):
        raise ChatdError("E405", f"you have no guest {user!r}", "see: chatctl guest list")
    if not guest.holds(context.now):
        fix = f"invite them again: chatctl invite create {user} --ends 48h"
        raise ChatdError("E410", f"the time of {user} has ended", fix)
    return guest
