"""How chatd reaches NATS servers of one's own: which settings and files it refuses, and whom it tells."""

from __future__ import annotations

import asyncio
from pathlib import Path

import nats.errors
import pytest
from pydantic import ValidationError

from chatd.cluster.nats_address import NatsAddress, read_address
from chatd.cluster.nats_connection import connect
from chatd.config.cluster_section import ClusterSection
from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.nats.nats_config import CONFIG, syncs_always
from chatd.nats.outside_nats import outside_address, write_outside_address
from tests.support.daemon import free_port
from tests.support.plain_nats import PlainNats

MEMBERS = {"a": "10.0.0.1:5002", "b": "10.0.0.2:5002", "c": "10.0.0.3:5002"}
URL = "tls://nats.example.org:4222"


@pytest.mark.parametrize(
    "url",
    [URL, "tls://[2001:db8::1]:4222", "nats://127.0.0.1:4222", "nats://[::1]:4222", "nats://localhost:4222"],
)
def test_servers_over_tls_or_on_loopback_are_taken(url: str) -> None:
    assert ClusterSection(node="a", members=MEMBERS, nats=[url]).replicas == 3


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nats://10.0.0.9:4222", "use tls://"),
        ("nats://nats.example.org:4222", "use tls://"),
        ("tls://chatd:secret@10.0.0.9:4222", "nats-login.key"),
        ("tls://10.0.0.9", "is not nats://HOST:PORT"),
        ("ws://10.0.0.9:4222", "is not nats://HOST:PORT"),
        ("10.0.0.9:4222", "is not nats://HOST:PORT"),
    ],
)
def test_other_servers_are_refused(url: str, words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        ClusterSection(node="a", members=MEMBERS, nats=[url])


def test_they_are_for_several_machines() -> None:
    ClusterSection(nats=[URL])  # before chatd cluster init
    with pytest.raises(ValidationError, match="for several machines"):
        ClusterSection(node="a", nats=[URL])
    five = MEMBERS | {"d": "10.0.0.4:5002", "e": "10.0.0.5:5002"}
    assert ClusterSection(node="a", members=five, nats=[URL]).replicas == 3


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for folder in ("certs", "data", "run"):
        (tmp_path / folder).mkdir()
    return tmp_path


def settings(*, syncs: bool = False) -> Settings:
    return Settings(cluster=ClusterSection(node="a", members=MEMBERS, nats=[URL], nats_syncs=syncs))


def write(home: Path, name: str, text: str, mode: int = 0o600) -> None:
    path = home / "certs" / name
    path.write_text(text)
    path.chmod(mode)


def test_without_files_there_is_no_login(home: Path) -> None:
    assert outside_address(home, settings()) == NatsAddress("", 0, "", "", [URL])


def test_the_hub_gets_copies_that_only_chatd_may_read(home: Path) -> None:
    write(home, "nats-login.key", "chatd:a:b\n")
    write(home, "nats-client.pem", "a certificate")
    write(home, "nats-client.key", "a key")
    write_outside_address(home, settings(syncs=True))
    address = read_address(home)
    assert (address.user, address.password, address.syncs) == ("chatd", "a:b", True)
    for path, text in ((address.certificate, "a certificate"), (address.key, "a key")):
        assert Path(path).parent == home / "data" / "stream"
        assert Path(path).read_text() == text
        assert Path(path).stat().st_mode & 0o077 == 0


WRONG = {
    "readable": ("nats-login.key", "chatd:secret", 0o644, "other users can read"),
    "no password": ("nats-login.key", "chatd", 0o600, "not one line USER:PASSWORD"),
    "two lines": ("nats-login.key", "chatd:secret\nanother", 0o600, "not one line USER:PASSWORD"),
    "no certificate": ("nats-client.key", "a key", 0o600, "there is no .*nats-client.pem"),
    "no key": ("nats-client.pem", "a certificate", 0o600, "there is no .*nats-client.key"),
}


@pytest.mark.parametrize(("name", "text", "mode", "words"), WRONG.values(), ids=WRONG)
def test_wrong_files_are_refused(home: Path, name: str, text: str, mode: int, words: str) -> None:
    write(home, name, text, mode)
    with pytest.raises(ChatdError, match=words) as refused:
        outside_address(home, settings())
    assert refused.value.code == "E606"
    assert "secret" not in str(refused.value)


def test_only_their_owner_knows_whether_they_sync(home: Path) -> None:
    (home / CONFIG).write_text("sync_interval: always")
    assert syncs_always(home) is True
    write_outside_address(home, settings())
    assert syncs_always(home) is None
    write_outside_address(home, settings(syncs=True))
    assert syncs_always(home) is True


async def _connect_without_tls() -> bytes:
    """Connect to a server that offers no TLS, or whose offer was taken out; return what it is told."""
    told: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"x","max_payload":2097152,"auth_required":true}\r\n')
        told.set_result(await reader.read(4096))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(nats.errors.Error, match="asks for no TLS"):
            await connect(NatsAddress("", 0, "chatd", "secret", [f"tls://127.0.0.1:{port}"]), 0)
        return await asyncio.wait_for(told, 30)


def test_nobody_without_tls_is_told_the_password() -> None:
    assert asyncio.run(_connect_without_tls()) == b""


def test_another_server_is_tried_at_once() -> None:
    server = PlainNats()
    server.start()
    try:
        urls = [f"nats://127.0.0.1:{free_port()}", f"nats://127.0.0.1:{server.address.port}"]

        async def connected() -> str:
            while True:
                try:
                    client = await connect(NatsAddress("", 0, "", "", urls), 0)
                except (OSError, nats.errors.Error, TimeoutError):  # it has just been started
                    await asyncio.sleep(0.05)
                    continue
                found = client.connected_url
                await client.close()
                return found.geturl() if found is not None else ""

        assert asyncio.run(asyncio.wait_for(connected(), 30)) == urls[1]
    finally:
        server.kill()
