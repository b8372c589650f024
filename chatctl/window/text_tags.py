"""How each kind of text in the message area looks: the options of Tk's text tags."""

from __future__ import annotations

from typing import Any

from chatctl.window.theme import Theme


def text_tags(theme: Theme) -> dict[str, dict[str, Any]]:
    """Return the options of all tags, in the order of their precedence."""
    p, unit = theme.palette, theme.unit
    line = {"spacing1": unit // 4, "spacing2": unit // 4, "spacing3": unit // 4, "rmargin": unit}
    quiet = {"foreground": p.quiet, "font": theme.small}
    # The lines of the chat's own hang behind their mark, which ends with a tab.
    column = theme.small.measure("-!-") + unit
    own = {"tabs": (column,), "lmargin2": column, "spacing1": unit // 4, "spacing3": unit // 4}
    centred = {"justify": "center", "spacing1": unit + unit // 2, "spacing3": unit // 2}
    label = {**centred, "font": theme.small_bold}
    return {
        "head": {"spacing1": unit},
        "name": {"font": theme.bold, "spacing1": unit},
        "actor": {"font": theme.bold, "spacing1": unit},
        **{f"name{number}": {"foreground": colour} for number, colour in enumerate(p.names)},
        "role": {"foreground": p.warn, "font": theme.small_bold},
        "time": quiet,
        "body": line,
        "pending": {**line, "foreground": p.quiet},
        "mark": quiet,
        "reactions": {**quiet, "spacing3": unit // 4},
        "quote": {**quiet, "spacing1": unit // 2, "lmargin2": unit},
        "bar": {"foreground": p.accent},
        "more": {**quiet, "foreground": p.accent, "lmargin1": unit, "lmargin2": unit},
        "action": {"font": theme.italic, "spacing1": unit, "lmargin2": 2 * unit},
        "strong": {"font": theme.bold},
        "code": {"font": theme.fixed, "background": p.code},
        "codeblock": {**line, "font": theme.fixed, "background": p.code, "lmargin1": unit, "lmargin2": unit},
        "link": {"foreground": p.accent, "underline": True},
        "event": {**quiet, **own},
        "note": {"foreground": p.quiet, **own},
        "listing": {**line, "font": theme.fixed},
        "announcement": {
            **own,
            "foreground": p.on_soft,
            "background": p.soft,
            "lmargincolor": p.soft,
            "font": theme.bold,
        },
        "error": {"foreground": p.bad, **own},
        "refused": {"foreground": p.bad, **own},
        "day": {**label, "foreground": p.quiet},
        "begin": {**centred, **quiet},
        "divider": {**label, "foreground": p.bad},
        "mention": {"background": p.mention, "lmargincolor": p.mention},
        "found": {"background": p.soft, "foreground": p.on_soft},
    }
