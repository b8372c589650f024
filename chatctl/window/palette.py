"""The colours of the window: a light and a dark palette, and which colours meet."""

from __future__ import annotations

from dataclasses import dataclass
from zlib import crc32

# Colours of people's names.
NAMES = 12


@dataclass(frozen=True)
class Palette:
    """Every colour in the window, by its purpose.

    ``page`` is behind messages and dialogs, ``panel`` behind lists. ``line`` divides, ``edge`` surrounds what
    can be used. ``soft`` is behind a selected item, whose text is ``on_soft``. ``names``: those of people; a
    name has the same one in every window.
    """

    page: str
    panel: str
    field: str
    line: str
    edge: str
    hover: str
    soft: str
    on_soft: str
    text: str
    quiet: str
    accent: str
    accent_hover: str
    on_accent: str
    good: str
    warn: str
    bad: str
    mention: str
    code: str
    names: tuple[str, ...]


LIGHT = Palette(
    page="#ffffff",
    panel="#f3f4f7",
    field="#ffffff",
    line="#dfe3e9",
    edge="#858e9c",
    hover="#e6e9ef",
    soft="#d9e5fb",
    on_soft="#123e91",
    text="#1b1f26",
    quiet="#59616e",
    accent="#2159c9",
    accent_hover="#17459f",
    on_accent="#ffffff",
    good="#18794e",
    warn="#8f5500",
    bad="#b3261e",
    mention="#fff4d1",
    code="#f0f2f6",
    names=(
        *("#6f3bd1", "#00695c", "#b01659", "#8a4b08", "#0b6488", "#4a6600"),
        *("#a0308f", "#a6341b", "#2f5fc4", "#1b7038", "#5b5bb0", "#80592b"),
    ),
)
DARK = Palette(
    page="#16191f",
    panel="#1d2129",
    field="#1b1f26",
    line="#2f3541",
    edge="#727d8f",
    hover="#282e39",
    soft="#243b66",
    on_soft="#d6e4ff",
    text="#e5e8ee",
    quiet="#a0a9b8",
    accent="#78aaff",
    accent_hover="#a0c4ff",
    on_accent="#0c1526",
    good="#57c792",
    warn="#e3b341",
    bad="#ff8a80",
    mention="#37301a",
    code="#20252e",
    names=(
        *("#c4a1ff", "#5fd3bc", "#ff9ecb", "#e5b567", "#79c7f2", "#b5d46c"),
        *("#eb9ff0", "#ffa48a", "#9bb8ff", "#7fd88f", "#b3b3f5", "#dcc08f"),
    ),
)

_SURFACES = ("page", "panel", "field", "hover")
# Text and what is behind it: at least 4.5 to 1 (WCAG 2.2, 1.4.3). "names" stands for each of them.
TEXT_ON = (
    *(("text", surface) for surface in (*_SURFACES, "mention", "code")),
    *(("quiet", surface) for surface in (*_SURFACES, "mention", "code")),
    *(("accent", surface) for surface in (*_SURFACES, "code", "mention")),
    *((state, surface) for state in ("warn", "bad") for surface in ("page", "panel")),
    ("good", "panel"),
    ("names", "page"),
    ("page", "names"),
    ("on_soft", "soft"),
    ("on_accent", "accent"),
    ("on_accent", "accent_hover"),
)
# Shapes that mean something, and what is around them: at least 3 to 1 (WCAG 2.2, 1.4.11).
SHAPE_ON = (
    *(("edge", surface) for surface in ("page", "panel", "field")),
    *(("accent", surface) for surface in (*_SURFACES, "soft")),
    *((state, surface) for state in ("good", "warn", "bad") for surface in ("panel", "hover", "soft")),
)


def name_number(user: str) -> int:
    """Return which of the colours for names a user has, the same in every window."""
    # These bits of the sum give the first names of tests and documents different colours.
    return (crc32(user.encode("utf-8", "replace")) >> 7) % NAMES


def name_tag(user: str) -> str:
    """Return the text tag with the colour of a user's name."""
    return f"name{name_number(user)}"
