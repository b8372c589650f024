"""The recording in the documents, and its rendering from captured screens."""

from __future__ import annotations

import json
import re
from xml.etree import ElementTree

from tests.support.rendered_screens import Screen, Span, Style, read_rows
from tests.tools.film import Film, Frame
from tests.tools.recording import CAST, PICTURE

_BYTES_LIMIT = 300_000
_SVG = "{http://www.w3.org/2000/svg}"


def test_the_cast_is_valid_asciicast_v2() -> None:
    header, *events = map(json.loads, CAST.read_text("utf-8").splitlines())
    assert header["version"] == 2
    assert (header["width"], header["height"]) == (80, 18)
    times = [time for time, _, _ in events]
    assert times == sorted(times)
    assert times[0] >= 0
    assert {kind for _, kind, _ in events} == {"o", "m"}
    assert all(isinstance(text, str) for _, _, text in events)
    assert "/home" not in CAST.read_text("utf-8")


def test_the_picture_loads_nothing_external() -> None:
    text = PICTURE.read_text("utf-8")
    tree = ElementTree.fromstring(text)  # noqa: S314 - our own file
    assert {element.tag for element in tree.iter()} <= {
        _SVG + tag for tag in ("svg", "style", "rect", "path", "g", "text")
    }
    names = {name for element in tree.iter() for name in element.attrib}
    assert not [name for name in names if name.startswith("on") or name.endswith("href")]
    assert not re.search(r"url\(|@import|@font-face", text)
    assert len(text) + CAST.stat().st_size < _BYTES_LIMIT


def test_the_styles_of_a_captured_terminal_are_read() -> None:
    first, second = read_rows("\x1b[1m#lobby>\x1b[0m  hi\x1b[38;5;196m red \n on\x1b[39;44m  \x1b[0m  \n")
    red = Style(foreground="#ff0000")
    assert first == (Span(0, "#lobby>", Style(bold=True)), Span(9, "hi", Style()), Span(12, "red", red))
    assert second == (Span(1, "on", red), Span(3, "  ", Style(background="#61afef")))


def test_text_is_visible_only_during_its_frames() -> None:
    def frame(start: float, *texts: str) -> Frame:
        rows = tuple((Span(0, text, Style()),) if text else () for text in texts)
        return Frame(start, Screen(rows, (0, 1)), "who & what")

    film = Film((frame(0, "one", ""), frame(2, "one", "<two>"), frame(4, "three", "")), 5, 10, 2)
    for at, seen in ((1, ["one"]), (2, ["one", "<two>"]), (4.5, ["three"])):
        texts = [e.text for e in ElementTree.fromstring(film.svg("", at)).iter(_SVG + "text")]  # noqa: S314
        assert sorted(map(str, texts)) == sorted(["who & what", *seen])
    moving = film.svg("a film")
    assert "{0%{visibility:hidden}40%{visibility:visible}80%{visibility:hidden}}" in moving
    assert "{0%{visibility:visible}80%{visibility:hidden}}" in moving
    assert "{0%{visibility:hidden}80%{visibility:visible}to{visibility:visible}}" in moving
    written = "".join(
        text for _, kind, text in map(json.loads, film.cast("").splitlines()[1:]) if kind == "o"
    )
    assert written.count("one") == 1
