"""The list of revoked certificates: which serials the log revokes, and what the signed list says."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.hub.state import guests, renewals
from chatd.hub.state.context import OPERATOR
from chatd.hub.state.entities import DAY_MS
from chatd.pki.authority import Authority
from chatd.pki.revocation_list import KEPT, MOST_DAYS, make_revocation_list
from chatd.store.entry import Entry
from chatd.store.event_log import EventLog
from chatd.store.revoked_serials import RevokedSerial, read_revoked, revoked_by
from tests.support.certificates import NOW, make_home
from tests.support.hubworld import START, World
from tests.support.storelog import entries

NOW_MS = round(NOW.timestamp() * 1000)
ENDS = START + 30 * DAY_MS


@pytest.fixture
def world() -> World:
    """bob has a laptop with the certificate b1, and a phone with c1."""
    world = World(Settings())
    world.add_user("alice", "admin")
    for device, serial in (("laptop", "b1"), ("phone", "c1")):
        world.ask(OPERATOR, "user_add", user="bob", device=device, serial=serial, role=None, ends=ENDS)
    return world


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_home(tmp_path_factory.mktemp("certs"))


def renew(world: World, shown: str, new: str) -> None:
    context = world.context(OPERATOR)
    ends = ENDS + DAY_MS
    renewals.renew(context, "bob", "laptop", shown, ENDS, "ab" * 32, False, new, world.now, ends)
    world.log += context.events


def serials(world: World) -> list[str]:
    return [one.serial for one in revoked_by(world.log)]


def test_every_certificate_that_a_device_has_had_is_revoked_with_it(world: World) -> None:
    world.now = START + 21 * DAY_MS
    renew(world, "b1", "b2")
    world.now += 2 * DAY_MS
    renew(world, "b2", "b3")
    assert serials(world) == []  # replaced is not revoked: the key is the same
    world.ask(OPERATOR, "revoke", user="bob", device="laptop")
    found = revoked_by(world.log)
    assert [(one.serial, one.at) for one in found] == [(serial, world.now) for serial in ("b1", "b2", "b3")]
    assert [one.ends for one in found] == [ENDS, ENDS + DAY_MS, ENDS + DAY_MS]


def test_the_end_of_a_guest_revokes_all_their_devices_and_no_later_one(world: World) -> None:
    for device, serial in (("tablet", "d1"), ("watch", "d2")):
        more = {"role": "guest", "guest_seconds": 3600, "sponsor": "alice"}
        world.ask(OPERATOR, "user_add", user="carol", device=device, serial=serial, ends=ENDS, **more)
    world.now += 3601 * 1000
    context = world.context(OPERATOR)
    guests.advance(context)
    world.log += context.events
    world.ask(OPERATOR, "user_add", user="carol", device="new", serial="d3", role="user", ends=ENDS)
    assert serials(world) == ["d1", "d2"]


def test_the_removal_of_a_user_revokes_all_their_devices(world: World) -> None:
    world.ask("alice", "user_remove", user="bob")
    assert serials(world) == ["b1", "c1"]


def test_a_ban_revokes_nothing(world: World) -> None:
    world.ask(OPERATOR, "ban", user="bob")
    assert serials(world) == []


def test_they_are_found_in_a_log_among_messages(world: World, tmp_path: Path) -> None:
    world.ask(OPERATOR, "revoke", user="bob", device="phone")
    log = EventLog.open(tmp_path / "data", now=NOW_MS)
    log.append(entries(1, 10))
    for seq, event in enumerate(world.log, 11):
        body = json.dumps(event | {"seq": seq}).encode()
        log.append([Entry(seq, event["at"], event["type"], event.get("room"), None, None, None, body)])
    assert read_revoked(tmp_path / "data") == [RevokedSerial("c1", START, ENDS)]  # the log is still open
    log.close()


def test_the_list_is_signed_by_the_ca_and_says_when_the_next_one_comes(authority: Authority) -> None:
    revoked = [("a1", NOW_MS - 5000, NOW_MS + DAY_MS), ("ff", NOW_MS, None)]
    made = make_revocation_list(authority, revoked, now=NOW, days=7)
    ca = authority.certificate
    assert made.is_signature_valid(authority.key.public_key()) and made.issuer == ca.subject
    assert (made.last_update_utc, made.next_update_utc) == (NOW, NOW + timedelta(days=7))
    assert [(one.serial_number, one.revocation_date_utc) for one in made] == [
        (0xA1, NOW - timedelta(seconds=5)),
        (0xFF, NOW),
    ]
    issuer = made.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    subject = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    assert issuer.key_identifier == subject.digest


def test_lists_are_numbered_upwards(authority: Authority) -> None:
    lists = (
        make_revocation_list(authority, [], now=NOW + timedelta(milliseconds=n), days=7) for n in range(3)
    )
    numbers = [one.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number for one in lists]
    assert numbers == sorted(set(numbers)) and 0 < numbers[0] < 1 << 159


def test_ended_certificates_stay_on_the_list_for_a_while(authority: Authority) -> None:
    kept = KEPT // timedelta(milliseconds=1)
    revoked = [("1", 0, NOW_MS - kept - 1), ("2", 0, NOW_MS - kept + 1), ("3", 0, None)]
    made = make_revocation_list(authority, revoked, now=NOW, days=MOST_DAYS)
    assert [one.serial_number for one in made] == [2, 3]
    assert timedelta(days=MOST_DAYS) < KEPT


def test_a_number_that_no_certificate_can_have_does_not_spoil_the_list(authority: Authority) -> None:
    revoked = [("0", NOW_MS, None), ("f" * 40, NOW_MS, None), ("7" + "f" * 39, NOW_MS, None)]
    made = make_revocation_list(authority, revoked, now=NOW, days=7)
    assert [one.serial_number for one in made] == [(1 << 159) - 1]


def test_no_list_outlasts_the_ca(authority: Authority) -> None:
    end = authority.certificate.not_valid_after_utc
    made = make_revocation_list(authority, [], now=end - timedelta(days=2), days=7)
    assert made.next_update_utc == end
    for now in (end + timedelta(seconds=1), authority.certificate.not_valid_before_utc - timedelta(days=1)):
        with pytest.raises(ChatdError, match="E612"):
            make_revocation_list(authority, [], now=now, days=7)
