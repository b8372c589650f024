"""The page redeems invites, and gives nothing away to a server that is not the invite's."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.pki.authority import Authority
from chatd.pki.signing_request import key_of_request
from chatd.proto.frames import encode
from chatd.proto.invite_code import InviteCode, authority_mark
from tests.support.browser import Modules
from tests.support.certificates import NOW
from tests.support.scripted_sockets import Answer, Frame, ScriptedSocket

REDEEM = """
const { openStore } = await load("store.js");
const { redeem } = await load("enrol.js");
const { parseCode } = await load("invite.js");
const store = await openStore();
const kept = (name) => store.get("keep", name).then((one) => one !== undefined);
const told = await redeem(store, location.origin, parseCode(given), "web").then(
  ({ user, device, keys }) => [user, device, keys.privateKey.extractable],
  (fault) => [fault.code],
);
return { told, joining: await kept("joining"), identity: await kept("identity") };
"""
CA = Authority.create("lab", now=NOW)
SECRET = secrets.token_bytes(16)
CODE = str(InviteCode("192.0.2.7:5000", SECRET, authority_mark(CA.certificate.public_bytes(Encoding.DER))))

Redeem = Callable[..., tuple[Any, ScriptedSocket]]


def _pem(certificate: Any) -> str:
    return str(certificate.public_bytes(Encoding.PEM).decode("ascii"))


def _authority(ca: Authority = CA, **more: Any) -> Frame:
    return {"type": "authority", "ca": _pem(ca.certificate), "binding": "00" * 32, **more}


def _enrolled(frame: Frame, ca: Authority = CA, **more: Any) -> Frame:
    key = key_of_request(base64.b64decode(frame["csr"]))
    issued = _pem(ca.issue_for_key(key, "bob", "web", now=NOW))
    names = {"instance": "lab", "user": "bob", "device": "web", "role": "user"}
    texts = {"certificate": issued, "ca": _pem(ca.certificate), "addresses": ["192.0.2.7:5000"]}
    return {"type": "enrolled", **names, **texts, **more}


def _error(code: str) -> Frame:
    return {"type": "error", "id": 0, "code": code, "reason": "why", "fix": "do"}


@pytest.fixture
def redeem(shared_modules: Modules) -> Iterator[Redeem]:
    """Redeem the invite at a server that greets and answers as told."""
    page = shared_modules.page
    servers: list[ScriptedSocket] = []
    page.route_web_socket("**/join", lambda route: servers[-1].serve(route))

    def run(
        greeting: Iterable[Answer], answer: Callable[[Frame], Iterable[Answer]] = lambda frame: ()
    ) -> Any:
        servers.append(ScriptedSocket(greeting, answer))
        return shared_modules.run(REDEEM, CODE), servers[-1]

    shared_modules.clear()
    shared_modules.run("(await (await load('store.js')).openStore()).clear();")
    yield run


def test_an_invite_becomes_an_identity(redeem: Redeem) -> None:
    found, server = redeem([_authority()], lambda frame: [_enrolled(frame), "close"])
    assert found == {"told": ["bob", "web", False], "joining": False, "identity": True}
    (sent,) = server.received
    assert sent["type"] == "redeem" and sent["secret"] == SECRET.hex() and sent["device"] == "web"


def test_frames_may_come_in_pieces(redeem: Redeem) -> None:
    whole = encode(_authority())
    found, _ = redeem([whole[:3], whole[3:50], whole[50:]], lambda frame: [_enrolled(frame)])
    assert found["told"][0] == "bob"


def test_a_rotated_ca_is_followed(redeem: Redeem) -> None:
    new = Authority.create("lab", now=NOW)
    crosses = [_pem(CA.cross_sign(new, now=NOW))]
    greeting = _authority(new, roots=[_pem(new.certificate), _pem(CA.certificate)], crosses=crosses)
    found, _ = redeem([greeting], lambda frame: [_enrolled(frame, new)])
    assert found["told"][0] == "bob"


@pytest.mark.parametrize(
    ("greeting", "code"),
    [
        ([_authority(Authority.create("lab", now=NOW))], "E209"),
        ([{**_authority(), "roots": 5, "ca": "junk"}], "E102"),
        ([{"type": "authority"}], "E102"),
        ([{"type": "authority", "ca": 5}], "E102"),
        ([{"type": "enrolled"}], "E102"),
        ([_error("E218")], "E218"),
        ([b"\xff\xff\xff\xff"], "E101"),
        (["text"], "E102"),
        (['{"type":"bye","code":"E216","reason":"r","fix":"f","retry":false}', "close"], "E216"),
        (["close"], "E607"),
    ],
    ids=[
        "foreign-ca",
        "junk-ca",
        "no-ca",
        "number",
        "other-frame",
        "refused",
        "too-long",
        "text",
        "bye",
        "closed",
    ],
)
def test_nothing_is_sent_to_a_server_that_is_not_the_invites(
    redeem: Redeem, greeting: list[Answer], code: str
) -> None:
    found, server = redeem(greeting)
    assert found == {"told": [code], "joining": False, "identity": False}
    assert server.received == []


@pytest.mark.parametrize(
    ("answer", "code", "kept"),
    [
        (lambda frame: [_error("E213")], "E213", False),
        (lambda frame: [_error("E207")], "E207", True),
        (lambda frame: [_error("E502")], "E502", True),
        (lambda frame: ["close"], "E607", True),
        (lambda frame: [_enrolled(frame, Authority.create("lab", now=NOW))], "E209", True),
        (
            lambda frame: [
                _enrolled(frame, certificate=_pem(CA.issue_device("a", "b", now=NOW).certificate))
            ],
            "E608",
            True,
        ),
        (lambda frame: [_enrolled(frame, user=5)], "E102", True),
    ],
    ids=["used", "banned", "busy", "cut", "foreign-ca", "foreign-key", "wrong-type"],
)
def test_a_failed_attempt_keeps_the_key_unless_the_answer_is_final(
    redeem: Redeem, answer: Callable[[Frame], Iterable[Answer]], code: str, kept: bool
) -> None:
    found, _ = redeem([_authority()], answer)
    assert found == {"told": [code], "joining": kept, "identity": False}


def test_another_attempt_has_the_same_key(redeem: Redeem) -> None:
    """The server gives the certificate again to the key that has redeemed the invite, and to no other."""
    _, first = redeem([_authority()], lambda frame: ["close"])
    found, second = redeem([_authority()], lambda frame: [_enrolled(frame)])
    keys = [key_of_request(base64.b64decode(one.received[0]["csr"])) for one in (first, second)]
    assert keys[0] == keys[1] and found["identity"]
