"""The settings of a cluster's machines."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from chatd.config.cluster_section import ClusterSection

THREE = {"a": "10.0.0.1:5002", "b": "10.0.0.2:5002", "c": "[fd00::3]:5002"}


def section(**values: Any) -> ClusterSection:
    return ClusterSection.model_validate(values)


def test_a_machine_alone_has_no_route_port() -> None:
    assert section().listens_on == ""
    assert section(node="a").listens_on == ""
    assert section(node="a", members={"a": "10.0.0.1:5002"}).listens_on == ""


def test_a_machine_listens_at_its_own_address_or_where_it_is_told_to() -> None:
    assert section(node="b", members=THREE).listens_on == "10.0.0.2:5002"
    assert section(node="b", members=THREE, listen="0.0.0.0:7000").listens_on == "0.0.0.0:7000"
    assert list(section(node="b", members=THREE).others) == ["a", "c"]


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"node": "d", "members": THREE}, "must include the machine"),
        ({"members": THREE}, "must include the machine"),
        ({"node": "a", "members": {"a": "h:1", "b": "h:1"}}, "the same address"),
        ({"node": "a", "members": {"a": "h"}}, "members"),
        ({"node": "a", "members": {"a": "h:1", "No Name": "g:1"}}, "members"),
        ({"node": "a", "members": {f"n{n}": f"h:{n}" for n in range(1, 7)}}, "at most 5"),
        ({"listen": "nowhere"}, "listen"),
        ({"copies": 0}, "copies"),
        ({"lead_seconds": 0.1}, "lead_seconds"),
    ],
    ids=["foreign", "nameless", "twice", "no-port", "name", "six", "listen", "copies", "lead"],
)
def test_values_that_no_cluster_can_have_are_refused(values: dict[str, Any], word: str) -> None:
    with pytest.raises(ValidationError, match=word):
        section(**values)
