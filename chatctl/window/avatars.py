"""The mark of a person: initials on a colour that is the same for a name in every list and client."""

from __future__ import annotations

import re
import tkinter as tk

from chatctl.window import shapes
from chatctl.window.palette import Palette, name_number
from chatctl.window.theme import Theme

_PARTS = re.compile(r"[\s._-]+")


def initials(user: str) -> str:
    """Return one or two capitals: "A" for alice, "JD" for john.doe."""
    parts = [part for part in _PARTS.split(user) if part]
    return "".join(part[0] for part in parts[:2]).upper() or user[:1]


def colour_of(palette: Palette, user: str) -> str:
    """Return the colour of a user's name and mark."""
    return palette.names[name_number(user)]


def draw_avatar(
    canvas: tk.Canvas,
    theme: Theme,
    user: str,
    place: tuple[int, int],
    size: int,
    ground: str,
    *,
    state: str = "",
    tag: str = "",
) -> None:
    """Draw the mark of ``user`` with its upper left corner at a place on the colour ``ground``.

    ``state``: a dot is full for online, amber for away, hollow for others; none if empty.
    """
    p, (x, y) = theme.palette, place
    circles = [(size / 2, size / 2, size / 2, colour_of(p, user))]
    if state:
        radius, ring = max(3, theme.unit / 2), theme.ring
        centre = size - radius + ring / 2
        colour = {"online": p.good, "away": p.warn}.get(state)
        # A gap in the colour of the ground keeps the dot apart from the avatar.
        dot = [(radius + ring, ground), (radius, colour or p.edge)]
        dot += [] if colour else [(radius - ring, ground)]
        circles += [(centre, centre, extent, ink) for extent, ink in dot]
    image = theme.image(shapes.discs, size + 2 * theme.ring, ground, *circles)
    canvas.create_image(x, y, image=image, anchor="nw", tags=tag)
    letters, font = initials(user), theme.small_bold if size < 3 * theme.unit else theme.bold
    if font.measure(letters) > size - 2:
        letters = letters[:1]
    canvas.create_text(x + size // 2, y + size // 2, text=letters, fill=p.page, font=font, tags=tag)
