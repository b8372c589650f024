"""A receiver process that can also join a room and page through history."""

from __future__ import annotations

import re
import time
from typing import Any

from chatd.proto.frames import encode
from tests.bench.load import STALL_SECONDS, Receiver, main
from tests.bench.wire_client import Connection

_JOINED = b'"type":"joined"'
_MESSAGE = b'"type":"message"'
_SEQ = b'"seq":'
_END = re.compile(rb'"cursor":(\d+),"more":(true|false)\}\}$')
_PAGE = 500


class Members(Receiver):
    """A receiver whose connections belong to as many users as there are identities."""

    def join(self, room: str, gap: float) -> Any:
        """Join all connections to a room, ``gap`` seconds apart; wait until every join is delivered."""
        request = encode({"type": "join", "id": 7, "room": room})
        start, cpu, delivered, last = time.monotonic(), time.process_time(), 0, time.monotonic()
        sent, count = 0, len(self._connections)
        # The first to join receives every join, the last only its own.
        expected = count * (count + 1) // 2
        while delivered < expected and time.monotonic() - last < STALL_SECONDS:
            while sent < count and time.monotonic() >= start + sent * gap:
                self._connections[sent].send(request)
                sent, last = sent + 1, time.monotonic()
            for key, _ in self._selector.select(0.0 if not gap and sent < count else 0.005):
                found = _count(key.data, _JOINED)
                if found:
                    delivered, last = delivered + found, time.monotonic()
        return {
            "deliveries": delivered,
            "expected": expected,
            "seconds": last - start,
            "busy": (time.process_time() - cpu) / (last - start),
        }

    def replay(self, via: str, room: str, messages: int) -> Any:
        """Read ``messages`` messages of a room on the first connection, page by page at full speed."""
        connection = self._connections[0]
        start, cpu, after, found, pages, more = time.monotonic(), time.process_time(), 0, 0, 0, True
        while found < messages and more:
            pages += 1
            request = {"type": via, "id": 8, "after": after}
            if via == "history":
                request |= {"room": room, "limit": _PAGE}
            connection.send(encode(request))
            page = _reply(connection)
            found += page.count(_MESSAGE)
            end = _END.search(page)
            assert end
            more = end[2] == b"true"
            # `history` returns no cursor: go on after the last event.
            after = int(end[1]) if via == "resume" else _last_seq(page)
        return {
            "messages": found,
            "pages": pages,
            "seconds": time.monotonic() - start,
            "cpu": time.process_time() - cpu,
        }


def _count(connection: Connection, wanted: bytes) -> int:
    try:
        # A record holds whole frames, so no match is split.
        return connection.read().count(wanted)
    except BlockingIOError:
        return 0


def _reply(connection: Connection) -> bytes:
    parts = [connection.read()]
    while not parts[-1].endswith((b'"more":true}}', b'"more":false}}')):
        parts.append(connection.read())
    return b"".join(parts)


def _last_seq(page: bytes) -> int:
    start = page.rindex(_SEQ) + len(_SEQ)
    return int(page[start : page.index(b",", start)])


if __name__ == "__main__":
    main(Members)
