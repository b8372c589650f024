"""The colours of the line client: a style for each class that `render`, `answers` and the screen use."""

from __future__ import annotations

from prompt_toolkit.styles import Style

DEFAULT_THEME = "dark"
_PLAIN = {
    "status": "reverse",
    "alert": "reverse bold",
    "prompt": "bold",
    # prompt_toolkit takes it for a part of the prompt, which is bold.
    "pending": "nobold",
    "room": "bold",
    "command": "bold",
    "announcement": "bold",
    "mention": "bold",
    "me": "bold",
    "hit": "bold underline",
    "quote": "italic",
    # Marked up text. Without colours, code is told by its marks.
    "code": "",
    "codeblock": "",
    "link": "underline",
    "strong": "bold",
}
_DARK = _PLAIN | {
    "alert": "reverse bold ansired",
    "pending": "nobold ansibrightblack",
    "time": "ansibrightblack",
    "quiet": "ansibrightblack",
    "event": "ansibrightblack",
    "quote": "italic ansibrightblack",
    "room": "ansicyan bold",
    "error": "ansired",
    "announcement": "bold ansiyellow",
    # Not a background: it is not known which colour the letters have on it.
    "code": "ansibrightblue",
    "codeblock": "ansibrightblue",
    "name0": "ansigreen",
    "name1": "ansiyellow",
    "name2": "ansiblue",
    "name3": "ansimagenta",
    "name4": "ansicyan",
    "name5": "ansibrightgreen",
}
# The sixteen terminal colours are made for dark backgrounds: their yellow is unreadable on white.
_LIGHT = _DARK | {
    "pending": "nobold #5f5f5f",
    "time": "#5f5f5f",
    "quiet": "#5f5f5f",
    "event": "#5f5f5f",
    "quote": "italic #5f5f5f",
    "room": "#005f87 bold",
    "error": "#af0000",
    "announcement": "bold #875f00",
    "code": "#5f00af",
    "codeblock": "#5f00af",
    "name0": "#005f00",
    "name1": "#875f00",
    "name2": "#00005f",
    "name3": "#870087",
    "name4": "#005f87",
    "name5": "#5f5f00",
}
THEMES = {"dark": _DARK, "light": _LIGHT, "plain": _PLAIN}


def style_of(theme: str) -> Style:
    """The style of one of `THEMES`; prompt_toolkit drops its colours when NO_COLOR is set."""
    return Style.from_dict(THEMES[theme])
