"""Connect to a NATS server: to the box's own, or to one of several outside, over TLS."""

from __future__ import annotations

import asyncio
import logging
import ssl
from contextlib import suppress
from typing import Any, Final

import nats.errors
from nats.aio.client import Client

from chatd.cluster.nats_address import NatsAddress

CONNECT_SECONDS: Final = 1.0
# TLS with another machine takes longer.
OUTSIDE_SECONDS: Final = 2.0


async def connect(address: NatsAddress, first: int) -> Client:
    """Return a connection to one of the servers; the one with the number ``first`` is tried first.

    Raises what nats-py raises, OSError and TimeoutError: of the last server.
    """
    urls = address.urls
    for number in range(len(urls)):
        try:
            return await _connect(urls[(first + number) % len(urls)], address)
        except (nats.errors.Error, OSError, TimeoutError):
            if number == len(urls) - 1:
                raise
    raise OSError("there is no NATS server to connect to")


async def _connect(url: str, address: NatsAddress) -> Client:
    trying = True

    async def note(error: Exception) -> None:
        # By itself nats-py would try the same server again until its time is over.
        if trying and address.outside:
            raise error

    client = _EncryptedClient() if url.startswith("tls://") else Client()
    options: dict[str, Any] = {"tls": _context(address)} if url.startswith("tls://") else {}
    if address.user:
        options |= {"user": address.user, "password": address.password}
    # Without reconnection of its own: a publish after one may wait for nothing (nats.py issue 354).
    connecting = client.connect(
        url, allow_reconnect=False, error_cb=note, max_outstanding_pings=2, ping_interval=2, **options
    )
    try:
        # It would try for two minutes.
        await asyncio.wait_for(connecting, OUTSIDE_SECONDS if address.outside else CONNECT_SECONDS)
    except BaseException:
        trying = False
        await _give_up(client)
        raise
    trying = False
    return client


async def _give_up(client: Client) -> None:
    """Close what a connection that came to nothing has opened, which nats-py leaves open."""
    with suppress(nats.errors.Error, OSError, TimeoutError):
        await asyncio.wait_for(client.close(), CONNECT_SECONDS)


class _EncryptedClient(Client):
    """A client that tells its password to nobody who offers no TLS: nats-py would go on in the clear."""

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:
        if initial_connection and not info.get("tls_required"):
            raise nats.errors.Error("the server asks for no TLS")
        await super()._process_info(info, initial_connection)


def _is_heard(record: logging.LogRecord) -> bool:
    # nats-py does not tell asyncio that its streams are over TLS, which asyncio then warns of at each end.
    return "eof_received" not in record.getMessage()


logging.getLogger("asyncio").addFilter(_is_heard)


def _context(address: NatsAddress) -> ssl.SSLContext:
    """Return the context in which a server must prove its name. Raises OSError for wrong files."""
    context = ssl.create_default_context(cadata=address.ca or None)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    if address.certificate:
        context.load_cert_chain(address.certificate, address.key)
    return context
