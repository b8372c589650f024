"""Signatures of the record key, for the commands that make or check them; and ``chatd head``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from chatd.cli.backup_files import read_limited, utc_now
from chatd.cli.options import json_option
from chatd.config.home import Home
from chatd.config.loading import load_settings
from chatd.console import output
from chatd.errors import ChatdError
from chatd.hub.recovery import snapshot_agrees
from chatd.pki.record_key import MISSING, Trust, key_id, load_record_key, signer_of
from chatd.proto.signatures import HEAD_NAME, Signature, SignedHead, parse_heads
from chatd.store.database import damaged
from chatd.store.kept_heads import read_head
from chatd.store.verifier import verify

NO_KEY = "there is no record key"


class TrustType(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """A fingerprint or a file; see `Trust.of`."""

    name = "WHO"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Trust:
        return Trust.of(str(value))


class HeadsType(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """A signed head, or a file with one or more."""

    name = "HEAD"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[SignedHead]:
        text = str(value)
        try:
            if not text.lstrip().startswith(HEAD_NAME):
                text = read_limited(Path(text)).decode("ascii")
            return parse_heads(text)
        except ValueError as error:
            self.fail(str(error), param, ctx)


trust_option: Callable[[Any], Any] = click.option(
    "--trust",
    type=TrustType(),
    help="Demand a signature of this server: the fingerprint of its CA or record key, "
    "or a file (an identity, ca.pem or record.pem).",
)
heads_option: Callable[[Any], Any] = click.option(
    "--head",
    "heads",
    type=HeadsType(),
    multiple=True,
    help="Demand that the log contains this head: a line of chatd head, or a file of them; repeatable.",
)


class SignatureState(NamedTuple):
    """``state`` is trusted (by --trust), unknown (valid, by somebody), none or bad; ``text`` says more."""

    state: str
    text: str
    key: str = ""
    ca: str = ""


def judge_signature(
    signature: Signature | None, signed: bytes, *, server: str, at: str, trust: Trust | None
) -> SignatureState:
    """Judge the signature of something that ``server`` is said to have made at the time ``at``."""
    if signature is None:
        return SignatureState("bad" if trust else "none", "it is not signed, so nothing shows who made it")
    try:
        signer = signer_of(signature)
        signer.verify(signed, signature.signature, server=server, at=at)
    except ValueError as error:
        return SignatureState("bad", f"its signature is not valid: {error}")
    key, ca = signer.fingerprint, signer.ca_fingerprint
    if trust is None:
        return SignatureState("unknown", f"signed by a key of the CA {ca}", key, ca)
    if not trust.accepts(signer):
        return SignatureState("bad", f"it was signed by somebody else: a key of the CA {ca}", key, ca)
    return SignatureState("trusted", f"signed by {server} with record key {key}", key, ca)


@click.command("head")
@json_option
@click.pass_obj
def head_command(home: Home, as_json: bool) -> None:
    """Print the signed head of the event log, to keep elsewhere; works while the server runs.

    The line says how far the log reaches, and its hash. Whoever has kept it can show later that the log was
    rolled back or rewritten: `chatd verify --head LINE`. It contains no messages.
    """
    home.require_initialised()
    server = load_settings(home.path, os.environ).server.name
    head = sign_head(home, server)
    if as_json:
        output.json_document({"line": head.line, **head._asdict()})
    else:
        output.line(head.line)


def sign_head(home: Home, server: str) -> SignedHead:
    """Verify the end of the log and sign its head. Raises E504, E606, E610, E612."""
    record = load_record_key(home.certs)
    if record is None:
        raise ChatdError("E606", NO_KEY, MISSING)
    report = verify(home.data, full=False, agrees=snapshot_agrees)
    if not report.ok:
        raise damaged(report.reason)
    point, log, branch = read_head(home.data, report.head)
    at, key = utc_now(), key_id(record.public.key)
    head = SignedHead(server, point.seq, point.chain_hash.hex(), log.hex(), branch, at, key)
    return head._replace(signature=record.sign(head.signed, server=server, at=at))


def flat(heads: Sequence[Sequence[SignedHead]]) -> list[SignedHead]:
    """The heads of all options of one command line."""
    return [head for group in heads for head in group]
