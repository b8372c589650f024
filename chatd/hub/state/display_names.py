"""Display names: what people call a user, shown beside the user's name, never instead of it (ADR 5)."""

from __future__ import annotations

from chatd.errors import ChatdError
from chatd.hub.state.context import Context
from chatd.proto.frames import JsonObject
from chatd.proto.people_requests import DisplayName
from chatd.proto.text import visible


def set_display(context: Context, request: DisplayName) -> JsonObject:
    """Set or remove a user's display name. Raises E400, E402, E405, E406."""
    user = context.acquaintance(request.user)
    display = " ".join(request.display.split())
    if visible(display, newlines=False) != display:
        raise ChatdError("E402", "a display name has printable characters only")
    if display:
        _refuse_impostor(context, request.user, display)
        context.refuse_words(display, "name")
    if display != user.display:
        context.emit("display_named", user=request.user, display=display, by=context.who.user)
    return {"user": request.user, "display": display}


def _refuse_impostor(context: Context, user: str, display: str) -> None:
    """Refuse the name of another user whom the asker may know of. Raises E406."""
    name = display.casefold().removeprefix("@")
    if name == user:
        return
    try:
        context.acquaintance(name)
    except ChatdError:
        return
    raise ChatdError("E406", f"{name} is the name of another user", "choose another display name")
