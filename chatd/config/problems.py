"""Describe every mistake in the settings: where it is, what is wrong, what is allowed."""

from __future__ import annotations

import difflib
import json
import re
from typing import Annotated, Any, NamedTuple, cast, get_args, get_origin

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from chatd.config.schema import Settings, disagreements
from chatd.proto.text import visible

Tree = dict[str, Any]
Keys = tuple[str, ...]

# How pydantic's messages begin, and replacements for those that would not help an admin.
_BEGINNING = re.compile(r"^(Input|String|List|Dictionary|Value) should ")
_WORDS = {
    "missing": "is missing",
    "model_type": "must be an object: { }",
    "dict_type": "must be an object: { }",
    "list_type": "must be a list: [ ]",
    "string_type": 'must be a string: " "',
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
}


# Keys renamed before 0.1.0 -> their names now.
_RENAMED = {("workers", "spares"): "template"}


class Source(NamedTuple):
    """Where values come from: a file, and the environment variables that override some keys."""

    file: str
    variables: dict[Keys, str]

    def of(self, keys: Keys) -> str:
        """Name the variable that set this key, a part of it or a section around it; else the file."""
        for setting, variable in self.variables.items():
            shared = min(len(setting), len(keys))
            if shared and setting[:shared] == keys[:shared]:
                return variable
        return self.file


def problems_of(tree: Tree, error: ValidationError, source: Source) -> list[str]:
    """Describe everything wrong with ``tree``, one line for each problem.

    Pydantic checks whether sections agree only if every section is valid; it then reports disagreements
    without a location. They are found here instead, among the sections that are valid.
    """
    found = [item for item in error.errors(include_url=False, include_context=False) if item["loc"]]
    wrong = {str(item["loc"][0]) for item in found}
    valid = {
        name: TypeAdapter[Any](cast(Any, field.annotation)).validate_python(tree[name])
        for name, field in Settings.model_fields.items()
        if name in tree and name not in wrong
    }
    return [_explain(item, source) for item in found] + [
        f"{source.of(tuple(problem.key.split('.')))}: {problem.key}: {problem.text}"
        for problem in disagreements(Settings.model_construct(**valid))
        if problem.between.isdisjoint(wrong)
    ]


def _explain(item: ErrorDetails, source: Source) -> str:
    keys = tuple(str(part) for part in item["loc"] if part != "[key]")
    place = f"{source.of(keys)}: {visible('.'.join(keys), newlines=False)}"
    if item["type"] == "extra_forbidden":
        return f"{place}: there is no such key{_suggestion(keys)}"
    words = _WORDS.get(item["type"]) or _BEGINNING.sub("must ", item["msg"].removeprefix("Value error, "))
    return f"{place}: {words}{_got(item)}"


def _got(item: ErrorDetails) -> str:
    value = item["input"]
    if item["type"] == "missing" or isinstance(value, dict | list):
        return ""
    return f" (it is {json.dumps(value)[:80]})"


def _suggestion(keys: Keys) -> str:
    if keys in _RENAMED:
        return f"; it is now called {_RENAMED[keys]}"
    names = list(_model_at(keys[:-1]).model_fields)
    near = difflib.get_close_matches(keys[-1], names, n=1)
    return f"; did you mean {near[0]}?" if near else f"; there are: {', '.join(names)}"


def _model_at(keys: Keys) -> type[BaseModel]:
    """Return the model that has, or should have, the keys after ``keys``: follow fields, lists and dicts."""
    found: Any = Settings
    for key in keys:
        if isinstance(found, type) and issubclass(found, BaseModel):
            found = found.model_fields[key].annotation
        else:  # an item of a list, or a value of a dict
            found = get_args(found)[-1]
        while get_origin(found) is Annotated:
            found = get_args(found)[0]
    return cast(type[BaseModel], found)
