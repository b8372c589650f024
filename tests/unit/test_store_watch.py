"""nats-server that has given up its store is started again, once the disk has space and not too often."""

from __future__ import annotations

import shutil
import socket
import threading
from collections import namedtuple
from pathlib import Path

import pytest

from chatd.cluster.nats_address import STREAM_FOLDER, NatsAddress, write_address
from chatd.nats import store_watch
from chatd.nats.store_watch import AGAIN_SECONDS, EVERY_SECONDS, NEEDED_BYTES, StoreWatch, server_keeps_store

_Usage = namedtuple("_Usage", "total used free")


class Scene:
    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (home / STREAM_FOLDER).mkdir(parents=True)
        write_address(home / STREAM_FOLDER, NatsAddress("127.0.0.1", 1, "chatd", "secret"))
        self.now = 100.0
        self.kept: bool | None = True
        self.free = NEEDED_BYTES
        monkeypatch.setattr(shutil, "disk_usage", lambda _: _Usage(0, 0, self.free))
        self.watch = StoreWatch(home, lambda: self.now, lambda _: self.kept)

    def later(self, seconds: float = EVERY_SECONDS) -> bool:
        self.now += seconds
        return self.watch.wants_restart()


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(tmp_path, monkeypatch)


@pytest.mark.parametrize("kept", [True, None], ids=["kept", "silent"])
def test_a_server_that_keeps_its_store_or_says_nothing_stays(scene: Scene, kept: bool | None) -> None:
    scene.kept = kept
    assert not any(scene.later() for _ in range(50))


def test_one_that_has_given_it_up_starts_again(scene: Scene) -> None:
    scene.kept = False
    assert scene.later()


def test_it_waits_for_space(scene: Scene) -> None:
    scene.kept, scene.free = False, NEEDED_BYTES - 1
    assert not any(scene.later() for _ in range(50))
    scene.free = NEEDED_BYTES
    assert scene.later()


def test_a_broken_disk_is_tried_from_time_to_time(scene: Scene) -> None:
    scene.kept = False
    tried = sum(scene.later(1.0) for _ in range(int(AGAIN_SECONDS) * 10))
    assert 9 <= tried <= 10


def test_without_an_address_nothing_is_asked(tmp_path: Path) -> None:
    watch = StoreWatch(tmp_path, lambda: 0.0, lambda _: False)
    assert not watch.wants_restart()


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (b'INFO {"server_name": "a", "jetstream": true} \r\n', True),
        (b'INFO {"server_name": "a"} \r\n', False),
        (b'INFO {"jetstream": false}\r\n', False),
        (b"INFO []\r\n", None),
        (b"INFO {\r\n", None),
        (b"-ERR 'maximum connections exceeded'\r\n", None),
        (b"", None),
        (b"INFO " + b"x" * 100_000, None),
    ],
    ids=["kept", "given up", "false", "list", "broken", "refused", "closed", "long"],
)
def test_what_the_server_says_to_whoever_connects(said: bytes, kept: bool | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        address = NatsAddress("127.0.0.1", listener.getsockname()[1], "", "")
        assert server_keeps_store(address) is kept
        thread.join()
    assert store_watch.server_keeps_store(address) is None
