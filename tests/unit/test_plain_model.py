"""Models without pydantic: what they accept, and what they do as pydantic's do."""

import copy
import pickle
from typing import Annotated, Any, Literal

import pytest

from chatd.proto.plain_model import EMPTY, PlainModel, Unfit


class Inner(PlainModel):
    name: str
    note: str | None = None


class Outer(PlainModel):
    type: Literal["outer", "other"]
    count: Annotated[int, lambda count: count >= 0]
    anything: dict[str, Any]
    on: bool = False
    inner: Inner | None = None
    many: list[Inner] = EMPTY


class Longer(Outer):
    type: Literal["outer"]
    last: str = "z"


WHOLE: dict[str, Any] = {
    "type": "outer",
    "count": 1,
    "on": True,
    "anything": {"a": [None]},
    "inner": {"name": "x", "note": None},
    "many": [{"name": "y", "note": "n"}],
}


def test_an_object_holds_its_fields_and_dumps_as_it_was_read() -> None:
    read = Outer.model_validate({**WHOLE, "newer": 1})
    assert read.inner == Inner(name="x") and read.many[0].note == "n"
    assert read.model_dump() == WHOLE
    assert read.model_dump(exclude_none=True)["inner"] == {"name": "x"}
    assert read == Outer(**WHOLE) != Outer(**WHOLE | {"on": False})
    assert read.model_copy(update={"count": 2}) == Outer(**WHOLE | {"count": 2})
    for other in (copy.copy(read), copy.deepcopy(read), pickle.loads(pickle.dumps(read))):  # noqa: S301  # made here
        assert other == read and type(other) is Outer
    assert "count=1" in repr(read)


def test_objects_cannot_be_changed_and_share_no_default() -> None:
    one, other = (Outer(type="outer", count=1, anything={}) for _ in range(2))
    with pytest.raises(AttributeError):
        one.count = 2  # type: ignore[misc]
    one.many.append(Inner(name="x"))
    assert other.many == [] == Outer(type="outer", count=1, anything={}).many
    assert hash(Inner(name="x")) == hash(Inner(name="x"))


def test_fields_of_base_classes_come_first() -> None:
    assert list(Longer.fields()) == ["type", "count", "anything", "on", "inner", "many", "last"]
    assert Longer.fields()["count"].is_required() and not Longer.fields()["last"].is_required()
    assert Longer.model_validate({"type": "outer", "count": 0, "anything": {}}).last == "z"


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"type": "third"}, ("type",)),
        ({"type": 1}, ("type",)),
        ({"count": True}, ("count",)),
        ({"count": 1.0}, ("count",)),
        ({"count": "1"}, ("count",)),
        ({"count": -1}, ("count",)),
        ({"count": None}, ("count",)),
        ({"on": 1}, ("on",)),
        ({"anything": []}, ("anything",)),
        ({"inner": []}, ("inner",)),
        ({"inner": {}}, ("inner", "name")),
        ({"many": {}}, ("many",)),
        ({"many": [{"name": "x"}, {"name": None}]}, ("many", 1, "name")),
        ({"many": [None]}, ("many", 0)),
    ],
)
def test_a_value_of_another_type_or_out_of_bounds_is_refused(
    changes: dict[str, Any], place: tuple[str | int, ...]
) -> None:
    with pytest.raises(Unfit) as caught:
        Outer.model_validate(WHOLE | changes)
    assert caught.value.place == place


def test_a_field_without_default_is_needed() -> None:
    for name in ("type", "count"):
        with pytest.raises(Unfit, match=name):
            Outer.model_validate({key: value for key, value in WHOLE.items() if key != name})
    with pytest.raises(Unfit):
        Outer.model_validate([])
