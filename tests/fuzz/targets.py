"""The table of fuzz targets: where each is, how often it runs, the inputs it starts from.

A target is a function of bytes. Its docstring states what must hold for every input; an exception is a
finding. Modules are imported when a target is chosen, so that the fuzzer instruments only what it needs.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import NamedTuple

SEEDS = Path(__file__).with_name("seeds")
_RANDOM_SEEDS = 24


class Target(NamedTuple):
    """``module`` has the function named like the target. ``share`` is its part of all executions.

    ``seeds`` names a function of the module that makes inputs; without one the target takes choices from
    random bytes. ``longest`` is the greatest length of an input: long texts are only more of the same.
    """

    module: str
    share: int
    seeds: str = ""
    longest: int = 4096

    def function(self, name: str) -> Callable[[bytes], None]:
        """Return the target itself."""
        found: Callable[[bytes], None] = getattr(self._imported(), name)
        return found

    def inputs(self, name: str) -> Iterator[bytes]:
        """Yield the inputs to start from: generated ones, then the files that are kept."""
        if self.seeds:
            yield from getattr(self._imported(), self.seeds)()
        else:
            random = Random(name)
            yield from (random.randbytes(random.randrange(4, 200)) for _ in range(_RANDOM_SEEDS))
        for path in sorted((SEEDS / name).glob("*")):
            yield path.read_bytes()

    def _imported(self) -> object:
        return importlib.import_module(f"tests.fuzz.{self.module}")


# Shares follow from the cost: a session takes thirty times as long as a frame.
_TEXT = 200
TARGETS: dict[str, Target] = {
    "frames": Target("wire_targets", 300, "frame_seeds"),
    "lengths": Target("wire_targets", 300),
    "plain_records": Target("wire_targets", 300),
    "link_frames": Target("wire_targets", 300),
    "requests": Target("wire_targets", 300),
    "server_events": Target("wire_targets", 300),
    "hook_posts": Target("hook_targets", _TEXT, "post_seeds"),
    "client_session": Target("session_targets", 10, longest=1024),
    "answer_lines": Target("session_targets", 10, longest=1024),
    "hub_requests": Target("session_targets", 10, longest=1024),
    "server_handshake": Target("crypto_targets", 40),
    "client_handshake": Target("crypto_targets", 10),
    "records": Target("crypto_targets", 300),
    "certificates": Target("pki_targets", 300, "certificate_seeds"),
    "identity_files": Target("pki_targets", 300, "identity_seeds"),
    "client_hellos": Target("enrol_targets", 300, "hello_seeds"),
    "invite_codes": Target("enrol_targets", 300, "code_seeds", 200),
    "signing_requests": Target("enrol_targets", 300, "request_seeds"),
    "settings_file": Target("settings_targets", 40, "settings_seeds"),
    "settings_values": Target("settings_targets", 10, longest=1024),
    "channel_lines": Target("settings_targets", 300, "channel_seeds"),
    "texts": Target("text_targets", 10, "text_seeds", _TEXT),
    "names": Target("text_targets", 10, "text_seeds", _TEXT),
    "word_filter": Target("text_targets", 10, longest=_TEXT),
    "wrapping": Target("text_targets", 10, "text_seeds", _TEXT),
    "typed_lines": Target("text_targets", 40, "line_seeds", _TEXT),
    "search_queries": Target("text_targets", 40, "query_seeds", _TEXT),
    "exports": Target("store_targets", 40, "export_seeds"),
    "altered_exports": Target("store_targets", 10),
    "backups": Target("store_targets", 40),
    "manifests": Target("store_targets", 40, "manifest_seeds"),
    "marks": Target("store_targets", 40, "mark_seeds"),
    "snapshots": Target("store_targets", 40, "snapshot_seeds"),
    "lineages": Target("store_targets", 40),
}
