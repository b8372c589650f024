"""The recipe for the TLS binding value in docs/protocol.md gives what OpenSSL gives."""

from __future__ import annotations

import json
import ssl
from pathlib import Path
from typing import Any

import pytest

from chatd.pki.contexts import client_context, server_context
from tests.support.certificates import make_world
from tests.vectors.finished import FINISHED_VECTORS, outputs, record_handshake

ALPN = "chatd/1"
FILE: dict[str, Any] = json.loads(FINISHED_VECTORS.read_text("ascii"))


def assert_both_ways_agree(inputs: dict[str, str]) -> dict[str, str]:
    values = outputs(inputs)
    assert values["verify_data"] == values["finished_body"] == inputs["openssl_says"]
    return values


def test_the_published_handshake_gives_the_published_binding_value() -> None:
    assert assert_both_ways_agree(FILE["inputs"]) == FILE["outputs"]


@pytest.mark.parametrize("curve", ["", "prime256v1"], ids=["one-hello", "hello-retry-request"])
def test_a_new_handshake_gives_the_binding_value_that_openssl_has(tmp_path: Path, curve: str) -> None:
    """The second server refuses the first key share, so that the client says hello twice."""
    world = make_world(tmp_path)
    server = server_context(world.certs, alpn=ALPN)
    if curve:
        server.set_ecdh_curve(curve)
    client = client_context(world.identity, alpn=[ALPN])
    inputs = record_handshake(server, client, tmp_path / "keys")
    assert assert_both_ways_agree(inputs)["cipher_suite"] == "TLS_AES_256_GCM_SHA384"


def test_an_altered_transcript_gives_another_value() -> None:
    altered = FILE["inputs"]["client_sent"].replace(b"chatd/1".hex(), b"chatd/2".hex(), 1)
    values = outputs({**FILE["inputs"], "client_sent": altered})
    assert values["verify_data"] != values["finished_body"]


def test_the_server_prefers_the_suites_in_the_documents_order(tmp_path: Path) -> None:
    context = server_context(make_world(tmp_path).certs, alpn=ALPN)
    assert context.options & ssl.OP_CIPHER_SERVER_PREFERENCE
    names = [suite["name"] for suite in context.get_ciphers() if suite["protocol"] == "TLSv1.3"]
    document = (Path(__file__).parents[2] / "docs" / "protocol.md").read_text("utf-8")
    assert ", ".join(f"`{name}`" for name in names) in " ".join(document.split())
