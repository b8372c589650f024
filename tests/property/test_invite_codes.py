"""Codes of invites: what is written comes back, and mistakes in typing are noticed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chatd.errors import ChatdError
from chatd.proto.invite_code import CODE_SYMBOLS, TEXT_LIMIT, InviteCode, parse_code

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
SECRETS = st.binary(min_size=16, max_size=16)
CODES = st.builds(
    InviteCode, st.sampled_from(["192.0.2.7:5000", "[::1]:1", "chat.example:65535"]), SECRETS, SECRETS
)


def _parts(code: InviteCode) -> tuple[str, str]:
    server, _, text = str(code).partition("/")
    return server, text.replace("-", "")


def _is_refused(text: str) -> bool:
    try:
        parse_code(text)
    except ChatdError as error:
        assert error.code == "E215"
        return True
    return False


@settings(deadline=None)
@given(CODES, st.randoms(use_true_random=False))
def test_a_code_comes_back_however_it_is_written(code: InviteCode, random: st.DrawFn) -> None:
    server, text = _parts(code)
    assert len(text) == CODE_SYMBOLS
    choice = random.choice  # type: ignore[attr-defined] # hypothesis types randoms() loosely
    loose = "".join(
        choice(("", "-", " ")) + choice((one, one.lower()))
        for one in (choice({"0": "0oO", "1": "1iIlL"}.get(symbol, symbol)) for symbol in text)
    )
    assert parse_code(f"{server}/{loose}") == parse_code(str(code)) == code


@settings(deadline=None, max_examples=10)
@given(CODES)
def test_every_wrong_symbol_is_noticed(code: InviteCode) -> None:
    server, text = _parts(code)
    for at, right in enumerate(text):
        for wrong in ALPHABET.replace(right, ""):
            assert _is_refused(f"{server}/{text[:at]}{wrong}{text[at + 1 :]}")


@settings(deadline=None, max_examples=10)
@given(CODES)
def test_every_transposition_is_noticed(code: InviteCode) -> None:
    server, text = _parts(code)
    for one in range(len(text)):
        for other in range(one + 1, len(text)):
            swapped = list(text)
            swapped[one], swapped[other] = swapped[other], swapped[one]
            assert _is_refused(f"{server}/{''.join(swapped)}") == (text[one] != text[other])


@settings(deadline=None)
@given(CODES, st.integers(0, CODE_SYMBOLS - 1), st.sampled_from(ALPHABET))
def test_a_lost_or_added_symbol_is_noticed(code: InviteCode, at: int, more: str) -> None:
    server, text = _parts(code)
    assert _is_refused(f"{server}/{text[:at]}{text[at + 1 :]}")
    assert _is_refused(f"{server}/{text[:at]}{more}{text[at:]}")


@settings(deadline=None)
@given(st.text(max_size=80))
def test_anything_else_is_refused(text: str) -> None:
    assert _is_refused(text)
    assert _is_refused(f"127.0.0.1:5000/{text}")


@pytest.mark.parametrize("text", ["", "/", "x" * (TEXT_LIMIT + 1), "host/" + "0" * 58, "127.0.0.1:5000/U"])
def test_refusals_say_what_to_do_and_never_quote_the_code(text: str) -> None:
    with pytest.raises(ChatdError) as caught:
        parse_code(text)
    assert caught.value.fix and "0000" not in caught.value.reason


def test_the_secret_is_not_in_a_traceback() -> None:
    code = InviteCode("127.0.0.1:5000", b"s" * 16, b"f" * 16)
    assert "ssss" not in repr(code) and str(code) not in repr(code)
