"""Targets for files and messages of the server's own machine: settings, channels, log pipes."""

from __future__ import annotations

import json
from typing import Any

from chatd.child.json_channel import ChannelClosedError, _parse
from chatd.config.loading import load_settings, write_settings
from chatd.config.reloading import compare, in_force
from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.logs.capture import _route
from chatd.proto.text import visible
from tests.fuzz.byte_source import ByteSource
from tests.fuzz.pki_targets import scratch_folder
from tests.support.harmless import assert_harmless

_DEFAULTS: dict[str, Any] = Settings().model_dump(mode="json")
_SECTIONS = [*_DEFAULTS]


def settings_seeds() -> list[bytes]:
    """Complete settings, single sections, and mistakes that tests name."""
    texts = [json.dumps(_DEFAULTS), *(json.dumps({key: value}) for key, value in _DEFAULTS.items())]
    texts += [
        '{"server": {"name": "lab"}}',
        '{"a": 1, "a": 2}',
        "[" * 2000,
        '{"rooms": []}',
        "\ufeff{}",
        "NaN",
    ]
    return [text.encode() for text in texts]


def settings_file(data: bytes) -> None:
    """A settings file is read as it was written, or refused with E600 in at most 51 lines."""
    _load(data, {})


def settings_values(data: bytes) -> None:
    """Settings with any values in known keys, and overrides from the environment: the same."""
    source = ByteSource(data)
    tree = json.loads(json.dumps(_DEFAULTS))
    environ: dict[str, str] = {}
    for _ in range(source.below(6)):
        section = source.choice(_SECTIONS)
        value = source.value()
        if isinstance(tree[section], dict):
            key = (
                source.choice([*_DEFAULTS[section], "unknown"])
                if isinstance(_DEFAULTS[section], dict)
                else ""
            )
            if source.byte() & 1:
                environ[f"CHATD_{section}__{key}".upper()] = source.text()
            else:
                tree[section][key] = value
        else:
            tree[section] = value
    _load(json.dumps(tree).encode(), environ)


def _load(text: bytes, environ: dict[str, str]) -> None:
    home = scratch_folder()
    (home / "config").mkdir(exist_ok=True)
    (home / "config" / "settings.json").write_bytes(text)
    try:
        settings = load_settings(home, environ)
    except ChatdError as error:
        assert error.code == "E600"
        assert error.reason.count("\n") <= 51
        assert_harmless(visible(error.reason), newlines=True)
        return
    write_settings(home, settings)
    assert load_settings(home, {}) == settings
    assert compare(settings, settings) == ([], [])
    assert in_force(settings, settings) == settings


def channel_lines(data: bytes) -> None:
    """A line of a child's channel or log pipe is a message or ends the channel; it names no other child."""
    try:
        assert isinstance(_parse(data)["type"], str)
    except ChannelClosedError:
        pass
    route = _route(data, "worker-1")
    if route is not None:
        assert json.loads(data)["proc"] == "worker-1"
        assert_harmless(data.decode("ascii"))


def channel_seeds() -> list[bytes]:
    """Messages of a channel, and a record of a log pipe."""
    record = {"proc": "worker-1", "cat": "errors", "level": "warning", "event": "x"}
    return [b'{"type":"ping","n":1}', json.dumps(record).encode(), b"[" * 2000, b'{"type":1}']
