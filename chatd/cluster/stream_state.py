"""What the servers say of the stream: its leader, its replicas, its size."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from chatd.cluster.log_link import StreamState

STREAM: Final = "CHATD"
NO_QUORUM: Final = StreamState(False, {})
# The code of JetStream's error.
NO_STREAM: Final = 10059


def read_stream_state(answer: dict[str, Any]) -> StreamState:
    """Read the answer to STREAM.INFO. Raises ValueError, LookupError, TypeError: another version."""
    if "state" not in answer:
        return StreamState(False, {}, gone=(answer.get("error") or {}).get("err_code") == NO_STREAM)
    group, state = answer.get("cluster") or {}, answer["state"]
    leader = str(group.get("leader") or "")
    replicas = {
        str(one["name"]): bool(one.get("current")) and not one.get("offline")
        for one in group.get("replicas") or []
    }
    # An answer of a leader that has lost the others may be old; it says so of them.
    current = 1 + sum(replicas.values())
    messages = int(state["messages"])
    return StreamState(
        current > (1 + len(replicas)) // 2,
        {leader: True} | replicas,
        leader,
        int(state["last_seq"]),
        messages,
        int(state["bytes"]),
        datetime.fromisoformat(str(state["first_ts"])).timestamp() if messages else 0.0,
    )
