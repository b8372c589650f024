"""Reading config/settings.json: every mistake at once, each with its place and what would be right."""

from __future__ import annotations

import difflib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from chatd.config.home import Home
from chatd.config.schema import Settings
from chatd.config.sections import RoleLimits, RoomSection, Server
from chatd.errors import ChatdError

FILE_LIMIT = 1024 * 1024
PROBLEMS_SHOWN = 50
PREFIX = "CHATD_"
SEPARATOR = "__"

Tree = dict[str, Any]


def load_settings(home: Path, environ: Mapping[str, str]) -> Settings:
    """The settings of a home, with CHATD_SECTION__KEY overrides applied.

    Raises E601 without a file, E606 for one that cannot be read, E600 listing every problem, one a line.
    """
    path = Home(home).settings_file
    tree = _read(path)
    variables = _override(tree, environ)
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        problems = [line for item in error.errors() for line in _explain(path, item, variables)]
        more = len(problems) - PROBLEMS_SHOWN
        if more > 0:
            problems = [*problems[:PROBLEMS_SHOWN], f"and {more} more"]
        raise ChatdError("E600", "\n".join(problems)) from None


def default_settings(*, name: str, host: str, port: int, addresses: list[str], admin: str) -> Settings:
    """What `chatd init` writes: the defaults, this server's addresses, the first admin pinned."""
    server = Server(name=name, host=host, port=port, addresses=addresses)
    return Settings(server=server).model_copy(
        update={"roles": Settings().roles.model_copy(update={"assigned": {admin: "admin"}})}
    )


def write_settings(home: Path, settings: Settings) -> None:
    """Write config/settings.json so that it is there wholly or not at all. Raises E606."""
    path = Home(home).settings_file
    text = json.dumps(settings.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
    try:
        fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=".settings-")
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o640)
        Path(temporary).replace(path)
    except OSError as error:
        raise ChatdError("E606", f"{path}: {error.strerror}") from None


def _read(path: Path) -> Tree:
    try:
        with path.open("rb") as file:
            data = file.read(FILE_LIMIT + 1)
    except FileNotFoundError:
        raise ChatdError("E601", f"there is no {path}") from None
    except OSError as error:
        raise ChatdError("E606", f"{path}: {error.strerror}") from None
    if len(data) > FILE_LIMIT:
        raise ChatdError("E600", f"{path} is over {FILE_LIMIT} bytes")
    try:
        tree = json.loads(data.decode("utf-8-sig"), object_pairs_hook=_unique)
    except UnicodeDecodeError as error:
        raise ChatdError("E600", f"{path} is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ChatdError("E600", f"{path}, {where}: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise ChatdError("E600", f"{path}: {str(error)[:200]}") from None
    if not isinstance(tree, dict):
        raise ChatdError("E600", f"{path}: must hold one JSON object")
    return tree


def _unique(pairs: list[tuple[str, Any]]) -> Tree:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r} is there twice")
    return result


def _override(tree: Tree, environ: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Put the environment's values in; which variable stands behind which key."""
    variables: dict[tuple[str, ...], str] = {}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX) or SEPARATOR not in variable:
            continue
        keys = tuple(variable[len(PREFIX) :].lower().split(SEPARATOR))
        section: Any = tree
        for key in keys[:-1]:
            section = section.setdefault(key, {}) if isinstance(section, dict) else None
        if not isinstance(section, dict):
            raise ChatdError("E600", f"{variable}: {'.'.join(keys[:-1])} has no keys")
        section[keys[-1]] = _value(text)
        variables[keys] = variable
    return variables


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _explain(path: Path, item: Any, variables: dict[tuple[str, ...], str]) -> list[str]:
    location = tuple(str(part) for part in item["loc"] if part != "[key]")
    place = variables.get(location) or str(path)
    if not location:
        # The checks across sections name their keys themselves.
        return [f"{path}: {line}" for line in item["msg"].removeprefix("Value error, ").splitlines()]
    key = ".".join(location)
    if item["type"] == "extra_forbidden":
        return [f"{place}: {key}: there is no such key{_suggestion(location)}"]
    message = item["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    message = message.removeprefix("Field required") or "is missing"
    return [f"{place}: {key}: {message}{_got(item)}"]


def _got(item: Any) -> str:
    value = item.get("input")
    if item["type"] == "missing" or isinstance(value, dict | list):
        return ""
    return f" (it is {json.dumps(value, ensure_ascii=True, default=str)[:80]})"


def _suggestion(location: tuple[str, ...]) -> str:
    names = _keys_at(location[:-1])
    near = difflib.get_close_matches(location[-1], names, n=1, cutoff=0.75)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are: {', '.join(names)}" if names else ""


def _keys_at(location: tuple[str, ...]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in location:
        if location[0] == "rooms":
            model = RoomSection
        elif location[:2] == ("limits", "per_role"):
            model = RoleLimits
        else:
            annotation = model.model_fields[part].annotation if part in model.model_fields else None
            if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
                return []
            model = annotation
    return list(model.model_fields)
