"""``chatd crl``: the revoked certificates, for programs that do not ask the hub."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.config.home import Home
from chatd.console import output
from chatd.console.arguments import NamedPath
from chatd.durable_files import PUBLIC, replace_file
from chatd.pki.authority import Authority
from chatd.pki.revocation_list import MOST_DAYS, make_revocation_lists
from chatd.proto.signatures import TIME_FORMAT
from chatd.store.revoked_serials import read_revoked


@click.command("crl")
@click.option(
    "--days",
    type=click.IntRange(1, MOST_DAYS),
    default=7,
    show_default=True,
    help="Make the list valid for N days; write the next one before.",
)
@click.option(
    "-o",
    "--output",
    "file",
    metavar="FILE",
    type=NamedPath(path_type=Path, dir_okay=False),
    help="Write the list to FILE, which is replaced at once. Default: print it.",
)
@click.pass_obj
def crl_command(home: Home, days: int, file: Path | None) -> None:
    """Sign the list of revoked certificates (CRL, PEM) with the CA's key; works while the server runs.

    Between `chatd ca rotate` and `chatd ca retire` there are two lists, one of each CA.

    It is for other programs that accept certificates of this CA, such as a web server. chatd itself needs
    none: it ends the sessions of a revoked device at once. Bans are not in it; they concern users, and end.
    """
    home.require_initialised()
    authority = Authority.load(home.certs)
    lists = make_revocation_lists(authority, read_revoked(home.data), now=datetime.now(UTC), days=days)
    pem = b"".join(one.public_bytes(Encoding.PEM) for one in lists)
    if file is None:
        output.lines(pem.decode("ascii"), 0)
        return
    replace_file(file, pem, PUBLIC)
    count = sum(map(len, lists))
    ends = [one.next_update_utc for one in lists if one.next_update_utc is not None]
    until = f", valid until {min(ends).strftime(TIME_FORMAT)}" if ends else ""
    output.line(f"{file} lists {count} revoked certificate{'s' * (count != 1)}{until}")
