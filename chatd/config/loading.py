"""Read and write config/settings.json."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from pydantic import ValidationError

from chatd.config.home import Home
from chatd.config.problems import Keys, Source, Tree, problems_of
from chatd.config.schema import Settings
from chatd.durable_files import replace_file
from chatd.errors import ChatdError

FILE_LIMIT = 1024 * 1024
PROBLEMS_SHOWN = 50
PREFIX = "CHATD_"
SEPARATOR = "__"
# Surrogates come from escapes in JSON, and from Python reading an environment that is not UTF-8.
_SURROGATE = re.compile("[\ud800-\udfff]")


def load_settings(home: Path, environ: Mapping[str, str]) -> Settings:
    """Load and validate a home's settings, with CHATD_SECTION__KEY overrides from the environment.

    Raises E601 without a file, E606 if it cannot be read, E600 with one line for each problem.
    """
    path = Home(home).settings_file
    tree = read_tree(path)
    variables, problems = _override(tree, environ)
    return _validated(tree, Source(str(path), variables), problems)


def default_settings(
    *, name: str, host: str, port: int, addresses: list[str], admin: str, gateway: str = ""
) -> Settings:
    """Build the settings that `chatd init` writes: defaults, addresses, a pinned admin. Raises E600."""
    server = {"name": name, "host": host, "port": port, "addresses": addresses}
    tree: Tree = {
        "server": server,
        "roles": {"assigned": {admin: "admin"}},
        "gateway": {"listen": gateway},
    }
    return _validated(tree, Source("the new settings", {}), [])


def settings_of_tree(tree: Tree, file: Path) -> Settings:
    """Validate the parsed content of a file. Raises E600 with one line for each problem."""
    return _validated(tree, Source(str(file), {}), [])


def write_settings(home: Path, settings: Settings) -> None:
    """Write config/settings.json atomically. Raises E606."""
    text = json.dumps(settings.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
    replace_file(Home(home).settings_file, text.encode(), 0o640)


def _validated(tree: Tree, source: Source, problems: list[str]) -> Settings:
    try:
        settings = Settings.model_validate(tree)
    except ValidationError as error:
        problems = [*problems, *problems_of(tree, error, source)]
    else:
        if not problems:
            return settings
    more = len(problems) - PROBLEMS_SHOWN
    if more > 0:
        problems = [*problems[:PROBLEMS_SHOWN], f"and {more} more"]
    raise ChatdError("E600", "\n".join(problems))


def read_tree(path: Path) -> Tree:
    """Parse a settings file, which may not be valid. Raises E600, E601, E606."""
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
        tree = _parse(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ChatdError("E600", f"{path} is not UTF-8 (byte {error.start})") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ChatdError("E600", f"{path}, {where}: {error.msg}") from None
    except RecursionError:
        raise ChatdError("E600", f"{path}: nested too deeply") from None
    except ValueError as error:
        raise ChatdError("E600", f"{path}: {str(error)[:200]}") from None
    if not isinstance(tree, dict):
        raise ChatdError("E600", f"{path}: must hold one JSON object")
    return tree


def _parse(text: str) -> Any:
    """Parse strict JSON. Raises ValueError (also for duplicate keys and lone surrogates), RecursionError."""
    value = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_number)
    if _SURROGATE.search(json.dumps(value, ensure_ascii=False)):
        raise ValueError("it has a lone surrogate: \\ud800 to \\udfff must come in pairs")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> Tree:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        duplicate = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {duplicate[:100]!r} occurs twice")
    return result


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not JSON")


def _override(tree: Tree, environ: Mapping[str, str]) -> tuple[dict[Keys, str], list[str]]:
    """Apply overrides to ``tree``. Return the variable behind each overridden key, and the problems."""
    variables: dict[Keys, str] = {}
    problems: list[str] = []
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX) or SEPARATOR not in variable:
            continue
        keys = tuple(variable[len(PREFIX) :].lower().split(SEPARATOR))
        section: Any = tree
        for key in keys[:-1]:
            section = section.setdefault(key, {}) if isinstance(section, dict) else None
        if not isinstance(section, dict):
            problems.append(f"{variable}: {'.'.join(keys[:-1])} has no keys")
        elif _SURROGATE.search(variable + text):
            problems.append(f"{variable!a}: is not UTF-8")
        else:
            section[keys[-1]] = _value(text)
            variables[keys] = variable
    return variables, problems


def _value(text: str) -> Any:
    try:
        return _parse(text)
    except (ValueError, RecursionError):
        return text
