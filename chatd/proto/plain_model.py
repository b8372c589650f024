"""Immutable objects read from JSON and judged by their annotations, without pydantic.

A program that only reads what the server sends starts in half the time that way. Methods have the names
that pydantic gives them, because bots call them. Fields are judged strictly, unknown ones are ignored. The
annotations of a class are resolved when its first object is made; modules of models do without
`from __future__ import annotations`, since resolving strings would take as long as all else.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    Self,
    Union,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

_REQUIRED: Any = object()
# The default of a list; each object has its own copy.
EMPTY: Any = []
# Returns what an object holds for a value. Raises Unfit.
Judge = Callable[[Any], Any]


class Unfit(ValueError):
    """A value is not what an annotation says. ``place``: the way to it, such as ("lineage", 0, "id")."""

    def __init__(self, *place: str | int) -> None:
        super().__init__(f"of a wrong type: {'.'.join(map(str, place)) or 'the whole'}")
        self.place = place


class ModelField(NamedTuple):
    """A field of a model. Values of the types ``plain`` need no further judgement."""

    annotation: Any
    default: Any
    plain: tuple[type, ...]
    judge: Judge

    def is_required(self) -> bool:
        """Whether an object must be given the field."""
        return self.default is _REQUIRED


@dataclass_transform(kw_only_default=True, frozen_default=True)
class PlainModel:
    """Base of the models. `Annotated` may add functions that say whether a value is within bounds."""

    def __init__(self, **values: Any) -> None:
        self.__dict__.update(_judged(type(self), values))

    @classmethod
    def fields(cls) -> dict[str, ModelField]:
        """The fields by name, those of base classes first."""
        return _fields_of(cls)

    @classmethod
    def model_validate(cls, values: object) -> Self:
        """Make an object of a JSON object. Raises Unfit."""
        if not isinstance(values, dict):
            raise Unfit
        made = object.__new__(cls)
        made.__dict__.update(_judged(cls, values))
        return made

    def model_dump(self, *, exclude_none: bool = False) -> dict[str, Any]:
        """The object as JSON; with ``exclude_none`` without the fields that are None."""
        return {
            name: _dumped(value, exclude_none)
            for name, value in self.__dict__.items()
            if not (exclude_none and value is None)
        }

    def model_copy(self, *, update: dict[str, Any]) -> Self:
        """Return a copy with other values for some fields, which are not judged."""
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__, **update)
        return copy

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a {type(self).__name__} cannot be changed")

    def __eq__(self, other: object) -> bool:
        return self.__dict__ == other.__dict__ if type(self) is type(other) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items())
        return f"{type(self).__name__}({fields})"


def _fields_of(model: type[PlainModel]) -> dict[str, ModelField]:
    if (found := _FIELDS.get(model)) is None:
        hints = get_type_hints(model, include_extras=True)
        found = _FIELDS[model] = {
            name: ModelField(hint, getattr(model, name, _REQUIRED), _plain_types(hint), judge_of(hint))
            for name, hint in hints.items()
        }
    return found


_FIELDS: dict[type[PlainModel], dict[str, ModelField]] = {}


def _judged(model: type[PlainModel], values: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for name, (_, default, plain, judge) in _fields_of(model).items():
        value = values.get(name, default)
        if type(value) not in plain:
            try:
                value = judge(value)
            except Unfit as error:
                raise Unfit(name, *error.place) from None
        found[name] = value
    return found


def _dumped(value: Any, exclude_none: bool) -> Any:
    if isinstance(value, PlainModel):
        return value.model_dump(exclude_none=exclude_none)
    if type(value) is list:
        return [_dumped(item, exclude_none) for item in value]
    return value


def _plain_types(annotation: Any) -> tuple[type, ...]:
    parts = get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,)
    return parts if all(part in (str, int, bool, types.NoneType) for part in parts) else ()


def judge_of(annotation: Any) -> Judge:
    """Make the judge of an annotation: a class, Any, or what is made of these, as far as models need it."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return lambda value: value
    if origin is Annotated:
        return _bounded(judge_of(parts[0]), parts[1:])
    if origin is Literal:
        return _bounded(judge_of(str), [parts.__contains__])
    if origin in (Union, types.UnionType):
        (inner,) = (part for part in parts if part is not types.NoneType)
        return _optional(judge_of(inner))
    if origin is list:
        return _list_of(judge_of(parts[0]))
    kind: type = origin or annotation
    return kind.model_validate if issubclass(kind, PlainModel) else _exactly(kind)


def _exactly(kind: type) -> Judge:
    def judge(value: Any) -> Any:
        if type(value) is not kind:
            raise Unfit
        return value

    return judge


def _optional(inner: Judge) -> Judge:
    return lambda value: None if value is None else inner(value)


def _bounded(inner: Judge, bounds: Iterable[Callable[[Any], bool]]) -> Judge:
    def judge(value: Any) -> Any:
        value = inner(value)
        if not all(within(value) for within in bounds):
            raise Unfit
        return value

    return judge


def _list_of(inner: Judge) -> Judge:
    def judge(value: Any) -> Any:
        if type(value) is not list:
            raise Unfit
        judged = []
        for place, item in enumerate(value):
            try:
                judged.append(inner(item))
            except Unfit as error:
                raise Unfit(place, *error.place) from None
        return judged

    return judge
