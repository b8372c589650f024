"""NATS servers of one's own, `cluster.nats`: how to log in there, and whether they suit.

Files in ``certs/``, each of them optional: nats-ca.pem, the CA of the servers' certificates; nats-client.pem
and nats-client.key, for servers that ask for a certificate; nats-login.key, one line USER:PASSWORD.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from nats.aio.client import Client

from chatd.cluster.jetstream import stream_config
from chatd.cluster.nats_address import (
    CA_FILE,
    CLIENT_FILES,
    LOGIN_FILE,
    STREAM_FOLDER,
    NatsAddress,
    write_address,
)
from chatd.cluster.nats_thread import NatsThread, ask, ask_all
from chatd.cluster.stream_state import NO_STREAM, STREAM
from chatd.config.cluster_section import OUTSIDE_REPLICAS
from chatd.config.schema import Settings
from chatd.durable_files import PRIVATE, replace_file
from chatd.errors import ChatdError
from chatd.nats.answer_fields import read_answer
from chatd.nats.cluster_view import ANSWERS_SECONDS
from chatd.nats.node_status import STATUS_SUBJECT, NodeStatus

# What chatd's own servers take; NATS takes 1 MiB unless told.
PAYLOAD_BYTES: Final = 2 * 1024 * 1024
_CREATE_SECONDS: Final = 5.0
# Servers that have just started elect a leader of JetStream first, and do not know each other at once.
PATIENCE_SECONDS: Final = 15.0
_PAUSE_SECONDS: Final = 0.5
_NO_LEADER: Final = 10008
_NO_PEERS: Final = 10005


def outside_address(home: Path, settings: Settings) -> NatsAddress:
    """Return how to reach the servers of the settings, with the files in ``certs/``. Raises E606."""
    certs = home / "certs"
    user, password = _login(certs / LOGIN_FILE)
    ca = _text(certs / CA_FILE)
    certificate, key = (str(certs / name) if (certs / name).exists() else "" for name in CLIENT_FILES)
    if bool(certificate) is not bool(key):
        missing = certs / CLIENT_FILES[bool(certificate)]
        raise ChatdError("E606", f"there is no {missing}", "put it there, or remove the other one")
    cluster = settings.cluster
    return NatsAddress("", 0, user, password, list(cluster.nats), ca, certificate, key, cluster.nats_syncs)


def write_outside_address(home: Path, settings: Settings) -> None:
    """Write it for the hub, which may not read ``certs/``. Raises E606."""
    address, folder = outside_address(home, settings), home / STREAM_FOLDER
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        copies = []
        for path in filter(None, (address.certificate, address.key)):
            replace_file(folder / Path(path).name, Path(path).read_bytes(), PRIVATE)
            copies.append(str(folder / Path(path).name))
    except OSError as error:
        raise ChatdError("E606", f"{error.filename}: {error.strerror}") from None
    if copies:
        address = address._replace(certificate=copies[0], key=copies[1])
    write_address(folder, address)


def prepare_outside(home: Path, settings: Settings) -> None:
    """Make the stream of a cluster that begins, empty. Raises E607, E625; E409 if one has content."""
    _run(home, settings, _prepare)


def problem_of_outside(home: Path, settings: Settings) -> ChatdError | None:
    """Return why the servers cannot be used now, E606, E607 or E625; None if they can."""
    try:
        _run(home, settings, _judged)
    except ChatdError as error:
        return error
    return None


def nodes_there(home: Path, settings: Settings, nodes: int) -> set[str]:
    """Return which nodes answer; it waits for so many. Raises E606, E607."""
    found: set[str] = set()

    def take(data: bytes) -> bool:
        try:
            found.add(read_answer(NodeStatus, data).node)
        except (ValueError, TypeError):
            return False  # not of a node
        return len(found) >= nodes

    _run(home, settings, partial(_ask_nodes, take=take))
    return found


def unreachable(urls: Sequence[str], why: str) -> ChatdError:
    """Return the error for servers of which none takes chatd as a client."""
    fix = "check that they run, cluster.nats, and nats-ca.pem and nats-login.key in certs/"
    return ChatdError("E607", f"none of {', '.join(urls)} can be used: {why}", fix)


def _run(home: Path, settings: Settings, work: Callable[[NatsThread], Coroutine[Any, Any, None]]) -> None:
    """Do something with a connection of its own. Raises E606, E607, and what ``work`` raises but OSError."""
    link = NatsThread(partial(outside_address, home, settings))
    try:
        link.run(work(link))
    except OSError as error:
        raise unreachable(settings.cluster.nats, str(error)) from None
    finally:
        link.close()


class NotYetError(OSError):
    """The servers have to agree among each other first."""


async def judge_outside(client: Client) -> dict[str, Any]:
    """Return what the servers say of their stream, if they and it suit.

    Raises E625 if not, `NotYetError`, and what nats-py raises.
    """
    if client.max_payload < PAYLOAD_BYTES:
        reason = f"the NATS server takes messages of {client.max_payload} bytes"
        raise ChatdError("E625", reason, "on each of them set: max_payload: 2MB")
    answer = await _api(client, f"STREAM.INFO.{STREAM}")
    _require_agreed(answer)
    if "error" in answer and answer["error"].get("err_code") != NO_STREAM:
        raise ChatdError(
            "E625", f"NATS refuses: {answer['error'].get('description')}", "enable JetStream there"
        )
    config = answer.get("config")
    if config is None:
        return answer
    if config.get("num_replicas", 0) < OUTSIDE_REPLICAS:
        reason = f"the stream {STREAM} has {config.get('num_replicas')} replica: its server may lose it"
        raise ChatdError("E625", reason, f"nats stream edit {STREAM} --replicas {OUTSIDE_REPLICAS}")
    if config.get("storage") != "file":
        reason = f"the stream {STREAM} is in memory"
        raise ChatdError("E625", reason, f"nats stream rm {STREAM}; then: chatd cluster reseed")
    return answer


async def _judged(link: NatsThread) -> None:
    await judge_outside(await link.connected())


async def _ask_nodes(link: NatsThread, take: Callable[[bytes], bool]) -> None:
    await ask_all(await link.connected(), STATUS_SUBJECT, {"at": 0}, take, ANSWERS_SECONDS)


def _require_agreed(answer: dict[str, Any]) -> None:
    error = answer.get("error") or {}
    if error.get("err_code") in (_NO_LEADER, _NO_PEERS):
        raise NotYetError(str(error.get("description")))


async def _prepare(link: NatsThread) -> None:
    deadline = link.loop.time() + PATIENCE_SECONDS
    while True:
        try:
            await _prepare_now(link)
            return
        except NotYetError:
            if link.loop.time() >= deadline:
                raise
        await asyncio.sleep(_PAUSE_SECONDS)


async def _prepare_now(link: NatsThread) -> None:
    client = await link.connected()
    answer = await judge_outside(client)
    if "state" in answer:
        if answer["state"]["last_seq"]:
            reason = f"these NATS servers have a stream {STREAM} already, of another cluster"
            raise ChatdError("E409", reason, f"use an account of its own; or: nats stream rm {STREAM}")
        return
    answer = await _api(client, f"STREAM.CREATE.{STREAM}", stream_config(OUTSIDE_REPLICAS))
    _require_agreed(answer)
    if "error" in answer:
        reason = (
            f"NATS makes no stream with {OUTSIDE_REPLICAS} replicas: {answer['error'].get('description')}"
        )
        raise ChatdError("E625", reason, "three NATS servers with JetStream, in one cluster of theirs")


async def _api(client: Client, name: str, question: object = None) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(await ask(client, f"$JS.API.{name}", question, _CREATE_SECONDS))
    return answer


def _login(path: Path) -> tuple[str, str]:
    text = _text(path)
    if not text:
        return "", ""
    if path.stat().st_mode & 0o077:
        raise ChatdError("E606", f"other users can read {path}", f"chmod 600 {path}")
    user, colon, password = text.strip().partition(":")
    if not (user and colon and password) or "\n" in password:
        raise ChatdError("E606", f"{path} is not one line USER:PASSWORD", "correct it, then try again")
    return user, password


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, ValueError) as error:
        raise ChatdError("E606", f"{path} cannot be read: {error}") from None
