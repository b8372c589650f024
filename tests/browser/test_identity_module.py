"""The key, the requests and the certificates of a browser, checked by the code that the server uses."""

from __future__ import annotations

import base64
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from chatd.errors import ChatdError
from chatd.pki.authority import Authority
from chatd.pki.lifetimes import renewal_due
from chatd.pki.renewal_proof import check_renewal
from chatd.pki.signing_request import key_of_request
from chatd.proto.invite_code import InviteCode, authority_mark, parse_code
from tests.support.browser import Modules
from tests.support.certificates import NOW

SERVER = "192.0.2.7:5000"


def _pem(certificate: Any) -> str:
    return str(certificate.public_bytes(Encoding.PEM).decode("ascii"))


def _key_of(modules: Modules) -> ec.EllipticCurvePublicKey:
    """Make a key in the page, and return its public half."""
    made = modules.run("""
        const { makeKeys } = await load("identity.js");
        window.keys = await makeKeys();
        const spki = await crypto.subtle.exportKey("spki", keys.publicKey);
        return btoa(String.fromCharCode(...new Uint8Array(spki)));
    """)
    key = load_der_public_key(base64.b64decode(made))
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return key


def test_the_key_cannot_leave_the_browser(shared_modules: Modules) -> None:
    _key_of(shared_modules)
    refused = shared_modules.run("""
        const exported = (format) => crypto.subtle.exportKey(format, keys.privateKey);
        const found = await Promise.allSettled([exported("pkcs8"), exported("jwk")]);
        return found.map(({ status, reason }) => [status, reason?.name]);
    """)
    assert refused == [["rejected", "InvalidAccessError"]] * 2


def test_the_server_accepts_the_certificate_request(shared_modules: Modules) -> None:
    """Many, because the integers of a signature have different sizes in DER."""
    key = _key_of(shared_modules)
    requests = shared_modules.run("""
        const { makeRequest, toBase64 } = await load("der.js");
        const found = [];
        for (let count = 0; count < 200; count += 1) found.push(toBase64(await makeRequest(keys)));
        return found;
    """)
    assert len(requests) == 200
    assert all(key_of_request(base64.b64decode(text)) == key for text in requests)


def test_a_changed_request_is_refused(shared_modules: Modules) -> None:
    _key_of(shared_modules)
    text = shared_modules.run(
        'const der = await load("der.js"); return der.toBase64(await der.makeRequest(keys));'
    )
    changed = bytearray(base64.b64decode(text))
    changed[-1] ^= 1
    with pytest.raises(ChatdError) as refused:
        key_of_request(bytes(changed))
    assert refused.value.code == "E217"


def test_a_login_signs_the_nonce_the_origin_and_the_instance(shared_modules: Modules) -> None:
    key = _key_of(shared_modules)
    login = shared_modules.run("""
        const { loginMessage } = await load("identity.js");
        const identity = { keys, instance: "lab", certificate: "PEM" };
        const challenge = { type: "challenge", nonce: "abc", instance: "lab" };
        return loginMessage(identity, challenge, "https://192.0.2.7:5443");
    """)
    raw = base64.urlsafe_b64decode(login["signature"] + "==")
    assert len(raw) == 64 and login["type"] == "login" and login["certificate"] == "PEM"
    signature = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    signed = b"chatd browser login v1\nabc\nhttps://192.0.2.7:5443\nlab"
    key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))


def test_nothing_is_signed_for_another_server(shared_modules: Modules) -> None:
    _key_of(shared_modules)
    told = shared_modules.run("""
        const { loginMessage } = await load("identity.js");
        const identity = { keys, instance: "lab", certificate: "PEM" };
        const challenge = { type: "challenge", nonce: "abc", instance: "other" };
        return loginMessage(identity, challenge, "https://x").catch((error) => error.code);
    """)
    assert told == "E209"


def test_tls_logs_in_where_certificates_are_required(shared_modules: Modules) -> None:
    told = shared_modules.run("""
        const { loginMessage } = await load("identity.js");
        return loginMessage(null, { nonce: "a", instance: "lab", certificate: true }, "https://x");
    """)
    assert told == {"type": "login"}


def test_a_renewal_is_proved_as_by_native_clients(shared_modules: Modules) -> None:
    key = _key_of(shared_modules)
    certificate = Authority.create("lab", now=NOW).issue_for_key(key, "bob", "web", now=NOW)
    binding = secrets.token_bytes(32)
    proof = shared_modules.run(
        """
        const { renewalProof } = await load("identity.js");
        const { fromHex } = await load("der.js");
        return renewalProof({ keys, certificate: given[0] }, fromHex(given[1]));
        """,
        [_pem(certificate), binding.hex()],
    )
    check_renewal(key, bytes.fromhex(proof), binding, certificate.public_bytes(Encoding.DER))


def test_certificates_are_read_as_the_server_wrote_them(shared_modules: Modules) -> None:
    authority = Authority.create("lab", now=NOW)
    certificates = [
        authority.certificate,
        *(authority.issue_device("bob", "web", now=NOW, days=days).certificate for days in (1, 30, 20_000)),
    ]
    found = shared_modules.run(
        """
        const { readCertificate, toHex } = await load("der.js");
        const { renewalDue } = await load("identity.js");
        return given.map((certificate) => {
          const { serial, notBefore, notAfter, key } = readCertificate(certificate);
          return [toHex(serial), notBefore, notAfter, toHex(key), renewalDue({ certificate })];
        });
        """,
        [_pem(one) for one in certificates],
    )
    for one, (serial, begins, ends, key, due) in zip(certificates, found, strict=True):
        wanted = renewal_due(one.not_valid_before_utc, one.not_valid_after_utc, one.serial_number)
        spki = one.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        assert int(serial, 16) == one.serial_number and key == spki.hex()
        times = [datetime.fromtimestamp(ms / 1000, UTC) for ms in (begins, ends)]
        assert times == [one.not_valid_before_utc, one.not_valid_after_utc]
        assert abs(datetime.fromtimestamp(due / 1000, UTC) - wanted) < timedelta(seconds=1)


def test_junk_is_no_certificate(shared_modules: Modules) -> None:
    whole = _pem(Authority.create("lab", now=NOW).certificate)
    body = base64.b64decode("".join(whole.splitlines()[1:-1]))
    junk = [body[:cut] for cut in range(0, len(body), 7)] + [
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\x80",
        b"\x30",
    ]
    texts = [
        f"-----BEGIN CERTIFICATE-----\n{base64.b64encode(one).decode()}\n-----END CERTIFICATE-----"
        for one in junk
    ]
    found = shared_modules.run(
        """
        const { readCertificate } = await load("der.js");
        return given.map((pem) => { try { readCertificate(pem); return ""; } catch (e) { return e.code; } });
        """,
        ["", "x", *texts],
    )
    assert set(found) == {"E102"}


def test_a_new_ca_is_taken_only_from_the_old_one(shared_modules: Modules) -> None:
    old, new, foreign = (Authority.create("lab", now=NOW) for _ in range(3))
    cross = _pem(old.cross_sign(new, now=NOW))
    wrong = _pem(foreign.cross_sign(new, now=NOW))
    cases = [
        [_pem(old.certificate), _pem(old.certificate), []],
        [_pem(old.certificate), _pem(new.certificate), [cross]],
        [_pem(old.certificate), _pem(new.certificate), []],
        [_pem(old.certificate), _pem(new.certificate), [wrong]],
        [_pem(old.certificate), _pem(foreign.certificate), [cross]],
    ]
    found = shared_modules.run(
        """
        const { successor } = await load("identity.js");
        const ask = (one) => successor(...one).then((ca) => ca === one[1], (error) => error.code);
        return Promise.all(given.map(ask));
        """,
        cases,
    )
    assert found == [True, True, "E209", "E209", "E209"]


def test_only_a_certificate_for_this_key_and_of_this_ca_is_kept(shared_modules: Modules) -> None:
    key = _key_of(shared_modules)
    authority, foreign = (Authority.create("lab", now=NOW) for _ in range(2))
    issued = [
        authority.issue_for_key(key, "bob", "web", now=NOW),
        foreign.issue_for_key(key, "bob", "web", now=NOW),
        authority.issue_device("bob", "web", now=NOW).certificate,
    ]
    found = shared_modules.run(
        """
        const { checkIssued } = await load("identity.js");
        const ask = (one) => checkIssued(keys, one, given[1]).then(() => "", (error) => error.code);
        return Promise.all(given[0].map(ask));
        """,
        [[_pem(one) for one in issued], _pem(authority.certificate)],
    )
    assert found == ["", "E209", "E608"]


PARSE = """
const { parseCode } = await load("invite.js");
const { toHex } = await load("der.js");
return given.map((text) => {
  try { const { secret, authority } = parseCode(text); return [toHex(secret), toHex(authority)]; }
  catch (error) { return error.code; }
});
"""


def test_invites_are_read_as_by_native_clients(shared_modules: Modules) -> None:
    ca = Authority.create("lab", now=NOW).certificate.public_bytes(Encoding.DER)
    codes = [InviteCode(SERVER, secrets.token_bytes(16), authority_mark(ca)) for _ in range(50)]
    codes.append(InviteCode(SERVER, bytes(16), bytes(16)))
    whole = [str(code) for code in codes]
    bare = [text.partition("/")[2] for text in whole]
    wanted = [[code.secret.hex(), code.authority.hex()] for code in codes]
    for texts in (
        whole,
        bare,
        [f"https://192.0.2.7:5443/#{text}" for text in bare],
        [f" {text.lower().replace('0', 'o').replace('1', 'L')} \n" for text in bare],
    ):
        assert shared_modules.run(PARSE, texts) == wanted
    written = shared_modules.run(
        """
        const { parseCode, codeText } = await load("invite.js");
        return given.map((text) => codeText(parseCode(text)));
        """,
        whole,
    )
    assert [parse_code(f"{SERVER}/{text}") for text in written] == codes


def test_mistyped_invites_are_refused(shared_modules: Modules) -> None:
    code = str(InviteCode(SERVER, secrets.token_bytes(16), secrets.token_bytes(16))).partition("/")[2]
    plain = code.replace("-", "")
    swaps = [plain[:at] + plain[at + 1] + plain[at] + plain[at + 2 :] for at in range(len(plain) - 1)]
    changed = [plain[:at] + ("2" if plain[at] != "2" else "3") + plain[at + 1 :] for at in range(len(plain))]
    wrong = [text for text in [*swaps, *changed] if text != plain]
    wrong += ["", "x", code[:-1], f"{code}2", "U" * 58, "\U0001f600" * 29, "0" * 600, "https://a/"]
    assert set(shared_modules.run(PARSE, wrong)) == {"E215"}
