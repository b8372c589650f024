"""A client whose server is cut off from its cluster goes on to another address, and does not roam."""

from __future__ import annotations

from chatctl.client._server_choice import AVOID_SECONDS, SPREAD_SECONDS, ServerChoice

A, B, C = SERVERS = ("a:1", "b:1", "c:1")
WHY = "this server is cut off"


def fresh() -> ServerChoice:
    return ServerChoice(lambda: 0.5)


def test_the_servers_keep_their_order_while_none_is_cut_off() -> None:
    choice = fresh()
    assert not choice.welcomed(A, "", SERVERS, 0.0)
    assert choice.order(SERVERS, 0.0) == list(SERVERS)
    assert not choice.leaves(A, SERVERS, 1e9)


def test_clients_leave_a_server_within_some_time_and_not_all_at_once() -> None:
    choice = fresh()
    choice.told(WHY, 100.0)
    assert choice.seconds(100.0) == SPREAD_SECONDS / 2
    assert not choice.leaves(A, SERVERS, 100.0)
    assert choice.leaves(A, SERVERS, 101.0)
    assert choice.order(SERVERS, 101.0) == [B, C, A]
    assert choice.order(SERVERS, 101.0 + AVOID_SECONDS) == list(SERVERS)


def test_a_client_stays_if_the_server_is_not_cut_off_any_more() -> None:
    choice = fresh()
    choice.told(WHY, 100.0)
    choice.told("", 100.5)
    assert not choice.leaves(A, SERVERS, 102.0)


def test_a_client_with_one_address_stays() -> None:
    choice = fresh()
    assert not choice.welcomed(A, WHY, (A,), 0.0)
    choice.told(WHY, 0.0)
    assert not choice.leaves(A, (A,), 1.0)


def test_if_all_are_cut_off_each_is_tried_once_and_again_after_a_while() -> None:
    choice = fresh()
    assert choice.welcomed(A, WHY, SERVERS, 0.0)
    assert choice.welcomed(B, WHY, SERVERS, 1.0)
    assert not choice.welcomed(C, WHY, SERVERS, 2.0)
    assert not choice.leaves(C, SERVERS, AVOID_SECONDS)
    assert choice.leaves(C, SERVERS, AVOID_SECONDS + 2.0)


def test_a_client_that_reaches_no_other_server_stays() -> None:
    """Its own side of the network is the one that is cut off."""
    choice = fresh()
    choice.told(WHY, 0.0)
    assert choice.leaves(A, SERVERS, 1.0)
    assert not choice.welcomed(A, WHY, SERVERS, 2.0)
    assert not choice.leaves(A, SERVERS, 3.0)


def test_what_others_said_long_ago_does_not_keep_a_client() -> None:
    choice = fresh()
    assert choice.welcomed(A, WHY, (A, B), 0.0)
    assert not choice.welcomed(B, "", (A, B), 1.0)
    choice.told(WHY, 50.0)
    assert choice.leaves(B, (A, B), 51.0)
    assert choice.order((A, B), 51.0) == [A, B]
