"""The settings of nats-server: of a machine alone as before, of one among others with routes over TLS."""

from __future__ import annotations

from pathlib import Path

import pytest

from chatd.config.cluster_section import ClusterSection
from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.nats.nats_config import CONFIG, nats_config, syncs_always
from chatd.pki.node_authority import PINS_FILE, read_pins
from tests.support.node_homes import node_homes


@pytest.mark.parametrize("members", [{}, {"a": "127.0.0.1:5002"}], ids=["none", "itself"])
def test_a_machine_alone_has_no_route_port(tmp_path: Path, members: dict[str, str]) -> None:
    settings = Settings(cluster=ClusterSection(node="a", members=members))
    text = nats_config(tmp_path, settings, "password").decode()
    assert "cluster" not in text
    assert "routed" not in text
    assert "sync_interval: always" in text


def test_a_machine_among_others_asks_for_their_keys(tmp_path: Path) -> None:
    home, settings = next(iter(node_homes(tmp_path).items()))
    text = nats_config(home, settings, "password").decode()
    pins = read_pins(home / "certs")
    assert "verify: true" in text
    assert "sync_interval: always" in text
    assert [node for node, pin in pins.items() if pin in text] == ["b", "c"]
    for node, address in settings.cluster.members.items():
        assert (f"nats://{address}" in text) is (node != "a")


@pytest.mark.parametrize("content", [None, "no json", '["a"]', '{"a": 1}'], ids=["none", "text", "list", "1"])
def test_without_the_keys_of_the_others_it_does_not_start(tmp_path: Path, content: str | None) -> None:
    home, settings = next(iter(node_homes(tmp_path).items()))
    (home / "certs" / PINS_FILE).unlink()
    if content is not None:
        (home / "certs" / PINS_FILE).write_text(content)
    with pytest.raises(ChatdError) as caught:
        nats_config(home, settings, "password")
    assert caught.value.code == "E606"


def test_whether_a_server_syncs_is_what_its_settings_say(tmp_path: Path) -> None:
    assert syncs_always(tmp_path) is None
    file = tmp_path / CONFIG
    file.parent.mkdir()
    settings = Settings(cluster=ClusterSection(node="a"))
    file.write_bytes(nats_config(tmp_path, settings, "x"))
    assert syncs_always(tmp_path)
    file.write_bytes(file.read_bytes().replace(b"always", b"2m"))
    assert syncs_always(tmp_path) is False
