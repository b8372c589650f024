"""What a reader thread passes on, and what not any more."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import cast

import pytest

from chatd.proto.frames import encode
from chatd.proto.requests import Spec
from chatd.worker import dispatch
from chatd.worker.dispatch import Dispatcher
from chatd.worker.loop import Loop
from chatd.worker.session import Phase, Session
from tests.unit.test_worker_timers import Bench

WAIT = 30.0


class Hub:
    """Notes the requests it is given."""

    def __init__(self) -> None:
        self.labels: list[int] = []

    def request(self, session: Session, label: int, payload: bytes, spec: Spec) -> bool:
        self.labels.append(label)
        return True


def message(label: int) -> bytes:
    return encode({"type": "send", "id": label, "msg_id": f"{label:032x}", "to": "#lobby", "body": "hello"})


@pytest.mark.parametrize("phase", [Phase.CLOSING, Phase.GONE])
def test_a_session_that_ends_while_it_is_held_back_says_nothing_more(
    phase: Phase, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub, session = Hub(), Bench().session
    loop = SimpleNamespace(hub=hub, post=lambda *_: None)
    dispatcher = Dispatcher(cast(Loop, loop))
    # The second message has to wait, for longer than the test.
    session.bucket.change(1e-3, 1)
    held = threading.Event()
    monkeypatch.setattr(dispatch, "HELD_BACK_LOOK_SECONDS", WAIT)
    wait = session.gone.wait

    def waits(seconds: float) -> bool:
        held.set()
        return wait(seconds)

    monkeypatch.setattr(session.gone, "wait", waits)
    records = b"".join(message(label) for label in (1, 2, 3))
    reader = threading.Thread(target=dispatcher.record, args=(session, records))
    reader.start()
    assert held.wait(WAIT)
    session.phase = phase
    session.gone.set()
    reader.join(WAIT)
    assert not reader.is_alive()
    assert hub.labels == [1]
