"""The list of users for ``chatd user add`` and ``chatctl invite create``: CSV, a line for each."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from chatd.errors import ChatdError
from chatd.proto.text import check_name

COLUMNS = ("name", "role", "device")
INVITE_COLUMNS = ("name", "role", "rooms", "device")
# More than all the users a server may have, with role and device.
LIST_LIMIT = 16 * 1024 * 1024
# Mistakes that are reported together.
SHOWN_MISTAKES = 10


class NewDevice(NamedTuple):
    """A line of the list: a device to register, "" if it has no name. ``where`` names the line in errors."""

    where: str
    user: str
    role: str | None
    device: str
    rooms: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The device as USER/DEVICE, or the user if the device has no name."""
        return f"{self.user}/{self.device}" if self.device else self.user


def read_list(
    path: Path,
    role: str | None,
    device: str,
    columns: tuple[str, ...] = COLUMNS,
    mistakes: Mistakes | None = None,
) -> list[NewDevice]:
    """Read the file, or standard input for "-"; ``role`` and ``device`` are for lines without their own.
    Without a ``device`` a line need not have one.

    ``columns`` are those of lines without a header. Rooms are separated by commas, semicolons or spaces.
    Blank lines and those that begin with # are skipped. A first line with the word "name" may order the
    columns. Raises E606, or an E403 that lists the wrong lines; with ``mistakes``, they are noted there for
    somebody who judges the others.
    """
    source = "standard input" if str(path) == "-" else str(path)
    rows = list(_rows(_text(path, source), source))
    if rows and "name" in rows[0][1]:
        columns = _header(*rows.pop(0), columns)
    found: list[NewDevice] = []
    wrong = Mistakes() if mistakes is None else mistakes
    seen: dict[str, str] = {}
    for where, cells in rows:
        with wrong.of(where):
            new = _device(where, cells, columns, role, device)
            refuse_again(new.label, where, seen)
            found.append(new)
    if mistakes is None or not found:
        wrong.refuse()
    if not found:
        raise ChatdError("E403", f"{source} names no user", "write one name on each line")
    return found


def refuse_again(label: str, where: str, seen: dict[str, str]) -> None:
    """Note the line of a user or device. Raises E403 if an earlier line has it."""
    if label in seen:
        raise ChatdError("E403", f"{label} is also in {seen[label].rpartition(', ')[2]}")
    seen[label] = where


class Mistakes:
    """Collects what is wrong with single lines, so that one run reports all of it."""

    def __init__(self) -> None:
        self._found: list[tuple[str, str]] = []
        self._code = ""

    @contextmanager
    def of(self, where: str) -> Iterator[None]:
        """Note a ChatdError that is raised about a line."""
        try:
            yield
        except ChatdError as error:
            self.note(where, error)

    def note(self, where: str, error: ChatdError) -> None:
        """Note what is wrong with a line."""
        self._code = self._code or error.code
        self._found.append((where, f"{where}: {error.reason}"))

    def refuse(self) -> None:
        """Raise the first mistake's code with all of them, if there are any."""
        if not self._found:
            return
        ordered = sorted(self._found, key=lambda one: (len(one[0]), one[0]))
        shown = [text for _, text in ordered[:SHOWN_MISTAKES]]
        if more := len(self._found) - len(shown):
            shown.append(f"and {more} more")
        count = len(self._found)
        lines = "1 line is" if count == 1 else f"{count} lines are"
        raise ChatdError(
            self._code,
            "\n".join([f"nothing was done: {lines} wrong", *shown]),
            "correct them, then try again",
        )


def _text(path: Path, source: str) -> str:
    try:
        if str(path) == "-":
            data = sys.stdin.buffer.read(LIST_LIMIT + 1)
        else:
            with path.open("rb") as file:
                data = file.read(LIST_LIMIT + 1)
    except OSError as error:
        raise ChatdError("E606", f"{source} cannot be read: {error.strerror}") from None
    if len(data) > LIST_LIMIT:
        raise ChatdError("E606", f"{source} is larger than {LIST_LIMIT} bytes", "split it")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ChatdError("E606", f"{source}, line {line} is not UTF-8", "save it as UTF-8") from None


def _rows(text: str, source: str) -> Iterator[tuple[str, list[str]]]:
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield (
                f"{source}, line {number}",
                [cell.strip() for cell in next(csv.reader([line], skipinitialspace=True))],
            )


def _header(where: str, cells: list[str], known: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [cell for cell in cells if cell not in known]
    if unknown or len(set(cells)) < len(cells):
        wrong = f"there is no column {unknown[0]!r:.80}" if unknown else "a column is named twice"
        raise ChatdError("E403", f"{where}: {wrong}", f"the columns are: {', '.join(known)}")
    return tuple(cells)


def _device(
    where: str, cells: list[str], columns: tuple[str, ...], role: str | None, device: str
) -> NewDevice:
    if len(cells) > len(columns):
        raise ChatdError("E403", f"there are {len(cells)} columns instead of {', '.join(columns)}")
    row = dict(zip(columns, cells, strict=False))
    named = row.get("device") or device
    return NewDevice(
        where,
        check_name(row.get("name", ""), "user"),
        check_name(row["role"], "role") if row.get("role") else role,
        check_name(named, "device") if named else "",
        tuple(row.get("rooms", "").replace(",", " ").replace(";", " ").split()),
    )
