"""Sorted sets of names: the same as a plain set that is sorted, at every step."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chatd.hub.state.names import EndingNames, SortedNames

name = st.sampled_from(("#a", "#b", "#b.c", "#z", "@a,b", "@b,c", "zoe"))
times = st.integers(0, 6)


@given(st.lists(st.tuples(st.booleans(), name)), name, name)
def test_it_is_a_set_in_order(steps: list[tuple[bool, str]], low: str, high: str) -> None:
    names, plain = SortedNames(("#b", "#a", "#b")), {"#a", "#b"}
    for add, one in steps:
        (names.add if add else names.discard)(one)
        (plain.add if add else plain.discard)(one)
    assert list(names) == sorted(plain)
    assert names == SortedNames(plain) and len(names) == len(plain)
    assert list(names.between(low)) == [one for one in sorted(plain) if one > low]
    assert list(names.between(low, high)) == [one for one in sorted(plain) if low < one < high]
    assert names.count_before("@") == sum(one < "@" for one in plain)
    assert (low in names) == (low in plain)
    assert names.isdisjoint(SortedNames((low, high))) == plain.isdisjoint((low, high))


@given(st.lists(st.tuples(name, st.none() | times, times)))
def test_names_end_in_time_even_if_the_clock_goes_back(steps: list[tuple[str, int | None, int]]) -> None:
    ends: dict[str, int | None] = {"#a": 3}
    names = EndingNames(ends)
    for one, until, now in steps:
        if until == 0:
            names.discard(one)
            ends.pop(one, None)
        else:
            names.put(one, until)
            ends[one] = until
        assert list(names.at(now)) == sorted(n for n, end in ends.items() if end is None or now < end)
