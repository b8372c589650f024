"""Generate docs/api.md, the reference of what `chatctl.client` exports, from the code.

    python -m tests.tools.apipage        # rewrite the page

tests/unit/test_apipage.py checks that the page is up to date.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import chatctl.client
from chatd.errors import ChatdError
from chatd.proto.events import Logged
from chatd.proto.plain_model import PlainModel

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
COLUMNS = 100
_INTRODUCTION = """\
# API of chatctl.client

The public Python API is what this page lists: the names that `chatctl.client` exports, with these
parameters, attributes and errors. Everything else in `chatctl` and `chatd` is internal.
[bots.md](bots.md) introduces the API with examples; [CONTRIBUTING.md](../CONTRIBUTING.md) says how
it may change. `JsonObject` is `dict[str, Any]`.

This page is made by `python -m tests.tools.apipage`."""


def generated() -> str:
    """Return the page as it should be."""
    exported = {name: getattr(chatctl.client, name) for name in chatctl.client.__all__}
    classes = {name: value for name, value in exported.items() if inspect.isclass(value)}
    logged = [value for value in classes.values() if issubclass(value, Logged) and value is not Logged]
    others = [value for value in classes.values() if issubclass(value, PlainModel) and value not in logged]
    handles = [value for value in classes.values() if value.__module__ == "chatctl.client._notices"]
    sent = [handles.pop(handles.index(exported[name])) for name in ("Sent", "SentResult")]
    functions = [value for value in exported.values() if inspect.isfunction(value)]
    parts = [
        _INTRODUCTION,
        *_class("##", exported["Client"]),
        *(part for value in sent for part in _class("##", value)),
        "## Functions",
        *(part for value in functions for part in _function("###", value.__name__, value)),
        "## Errors and identities",
        *_class("###", ChatdError),
        *_class("###", exported["Identity"]),
        "## Events of the client",
        _prose(
            f"`next_event` and `events` return an `AnyEvent`: {_union(exported['AnyEvent'])}."
            " The client itself makes those in this section."
        ),
        *(part for value in handles for part in _class("###", value)),
        "## Events of the log",
        _prose(f"{inspect.getdoc(Logged)} `isinstance(event, Logged)` tells them from other events."),
        *(part for value in logged for part in _class("###", value)),
        "## Other data from the server",
        *(part for value in others if value is not Logged for part in _class("###", value)),
    ]
    return "\n\n".join(parts) + "\n"


def _union(union: Any) -> str:
    return ", ".join(f"`{member.__name__}`" for member in union.__args__)


def _class(heading: str, value: type[Any]) -> Iterator[str]:
    yield f"{heading} {value.__name__}"
    if issubclass(value, PlainModel):
        yield _code(value.__name__, _fields(value))
    else:
        yield _code(value.__name__, *_signature(value))
    yield from _docstring(value)
    for name, member in vars(value).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            returns = inspect.get_annotations(member.fget)["return"] if member.fget else ""
            yield f"{heading}# {value.__name__}.{name}: {_short(returns)}"
            yield from _docstring(member)
        elif inspect.isfunction(member):
            yield from _function(f"{heading}#", f"{value.__name__}.{name}", member)


def _function(heading: str, name: str, function: Callable[..., Any]) -> Iterator[str]:
    yield f"{heading} {name}"
    yield _code(name.rpartition(".")[2], *_signature(function))
    yield from _docstring(function)


def _signature(value: Callable[..., Any]) -> tuple[list[str], str]:
    signature = inspect.signature(value)
    shown: list[str] = []
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not any(text.startswith("*") for text in shown):
            shown.append("*")
        shown.append(_parameter(parameter))
    returns = "" if inspect.isclass(value) else f" -> {_short(signature.return_annotation)}"
    return shown, returns


def _parameter(parameter: inspect.Parameter) -> str:
    stars = "**" if parameter.kind is parameter.VAR_KEYWORD else ""
    text = f"{stars}{parameter.name}: {_short(parameter.annotation)}"
    if parameter.default is parameter.empty:
        return text
    return f"{text} = {'...' if callable(parameter.default) else repr(parameter.default)}"


def _fields(model: type[PlainModel]) -> list[str]:
    """The fields with their types as written in the source, those of base classes first."""
    annotations: dict[str, str] = {}
    for base in reversed(model.__mro__):
        annotations |= inspect.get_annotations(base)
    return [f"{name}: {_short(annotations[name])}" for name in model.fields()]


def _short(annotation: object) -> str:
    """An annotation without module names."""
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    text: str = getattr(annotation, "__forward_arg__", str(annotation))
    if isinstance(annotation, type) and not get_args(annotation):
        text = annotation.__name__
    return re.sub(r"\b(?:[a-z_]+\.)+(?=[A-Z])", "", text)


def _code(name: str, items: list[str], returns: str = "") -> str:
    line = f"{name}({', '.join(items)}){returns}"
    if len(line) > COLUMNS:
        line = "\n".join([f"{name}(", *(f"    {item}," for item in items), f"){returns}"])
    return f"```python\n{line}\n```"


def _docstring(value: object) -> Iterator[str]:
    text = inspect.getdoc(value) or ""
    for paragraph in filter(None, text.split("\n\n")):
        yield _prose(paragraph)


def _prose(text: str) -> str:
    plain = " ".join(text.replace("``", "`").split())
    return textwrap.fill(plain, COLUMNS, break_long_words=False, break_on_hyphens=False)


if __name__ == "__main__":
    PAGE.write_text(generated(), "utf-8")
