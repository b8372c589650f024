"""Handshake messages that are skipped, repeated, swapped or replayed."""

from __future__ import annotations

import pytest

from tests.unit.test_crypto_handshake import client, flip, refusal, server


class Talk:
    """A client and a server during a handshake, with messages of an earlier handshake to replay."""

    def __init__(self) -> None:
        client_end, server_end = client(), server()
        self.m1 = client_end.hello()
        self.m2 = server_end.respond(self.m1)
        self.m3 = client_end.exchange(self.m2)
        self.m4, _ = server_end.accept(self.m3)
        self.client, self.server = client(), server()

    def hello(self) -> None:
        self.m1 = self.client.hello()

    def respond(self) -> None:
        self.m2 = self.server.respond(self.m1)

    def exchange(self) -> None:
        self.m3 = self.client.exchange(self.m2)

    def accept(self) -> None:
        self.m4, _ = self.server.accept(self.m3)

    def finish(self) -> None:
        self.client.finish(self.m4)


@pytest.mark.parametrize(
    "steps",
    [
        "exchange",
        "finish",
        "hello hello",
        "hello finish",
        "hello respond exchange exchange",
        "hello respond exchange hello",
        "hello respond exchange accept finish finish",
        "hello respond exchange accept finish exchange",
        "hello respond exchange accept finish hello",
        "accept",
        "hello respond respond",
        "hello respond exchange accept accept",
        "hello respond exchange accept respond",
    ],
)
def test_a_skipped_repeated_or_swapped_step_is_refused(steps: str) -> None:
    talk = Talk()
    *before, last = steps.split()
    for step in before:
        getattr(talk, step)()
    assert refusal(getattr(talk, last)).code == "E105"


@pytest.mark.parametrize(
    ("replayed", "said_by", "noticed_by"),
    [
        ("m1", "hello", "accept"),
        ("m2", "respond", "accept"),
        ("m3", "exchange", "accept"),
        ("m4", "accept", "finish"),
    ],
)
def test_a_message_of_an_earlier_handshake_is_refused(replayed: str, said_by: str, noticed_by: str) -> None:
    talk = Talk()
    old = getattr(talk, replayed)
    for step in ("hello", "respond", "exchange", "accept", "finish"):
        if step == noticed_by:
            assert refusal(getattr(talk, step)).code == "E104"
            return
        getattr(talk, step)()
        if step == said_by:
            setattr(talk, replayed, old)


@pytest.mark.parametrize("wrong", ["m1", "m3", "m4"])
def test_another_message_instead_of_m2_is_refused(wrong: str) -> None:
    """Including the client's own first message, reflected."""
    talk = Talk()
    talk.hello()
    talk.m2 = getattr(talk, wrong)
    assert refusal(talk.exchange).code in {"E104", "E107"}


def test_a_failed_handshake_cannot_continue() -> None:
    client_end, server_end = client(), server()
    m2 = server_end.respond(client_end.hello())
    m3 = client_end.exchange(m2)
    assert refusal(lambda: server_end.accept(flip(0)(m3))).code == "E104"
    assert refusal(lambda: server_end.accept(m3)).code == "E105"
    assert refusal(lambda: client_end.finish(bytes(32))).code == "E104"
    assert refusal(lambda: client_end.finish(bytes(32))).code == "E105"
