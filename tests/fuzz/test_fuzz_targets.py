"""Every fuzz target holds for its seeds, and for some thousand inputs that atheris makes from them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.__main__ import available, fuzz
from tests.fuzz.byte_source import decode_text, encode_text
from tests.fuzz.targets import SEEDS, TARGETS
from tests.support.hostile import TEXTS

# Executions of each target here: 20,000 of a fast one, 600 of a slow one.
_FACTOR, _MOST = 67, 20_000


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_for_its_seeds(name: str) -> None:
    target = TARGETS[name].function(name)
    assert target.__doc__, "it says what must hold"
    count = 0
    for data in TARGETS[name].inputs(name):
        target(data)
        count += 1
    assert count


@pytest.mark.skipif(not available(), reason="atheris has no wheel for this Python")
@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_for_random_input(name: str, tmp_path: Path) -> None:
    count = min(_MOST, TARGETS[name].share * _FACTOR)
    outcome = fuzz(name, [f"-runs={count}", "-seed=1"], corpus=None, failures=tmp_path)
    assert not outcome.failure, outcome.failure
    assert outcome.executions >= count


def test_kept_seeds_belong_to_a_target() -> None:
    assert {path.name for path in SEEDS.iterdir()} <= set(TARGETS)


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_every_hostile_text_can_be_a_seed(text: str) -> None:
    assert decode_text(encode_text(text)) == text
