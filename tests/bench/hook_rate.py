"""Posts of alerts a second that a hook commits, and the server's CPU for each, as /proc counts it.

python -m tests.bench.hook_rate [COUNT]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tests.bench.enrolment_cost import cpu_seconds
from tests.support.hook_senders import alert, alert_post, bearer, make_hook, post_on
from tests.support.https import Https, gateway

COUNT = 6000
# Programs that post, and connections of each: Alertmanager keeps its connections open, too.
PROGRAMS, CONNECTIONS = 2, 15
_WARM_UP = 200


def main(count: int) -> None:
    """Print the rate over all programs, and milliseconds of CPU for each post, by process."""
    with (
        tempfile.TemporaryDirectory() as folder,
        gateway(Path(folder) / "home", CHATD_GATEWAY__HOOK_RATE="10000") as (daemon, https),
    ):
        made = make_hook(daemon, "lobby", "alertmanager", "storm")
        ca = str(daemon.home / "certs" / "ca.pem")
        send(https, made["token"], range(_WARM_UP))
        before, began = cpu_seconds(daemon), time.monotonic()
        each = count // PROGRAMS
        command = [sys.executable, "-m", "tests.bench.hook_rate", "send", str(https.port), ca, made["token"]]
        firsts = (_WARM_UP + number * each for number in range(PROGRAMS))
        programs = [subprocess.Popen([*command, str(first), str(first + each)]) for first in firsts]
        assert [program.wait() for program in programs] == [0] * PROGRAMS
        seconds, after = time.monotonic() - began, cpu_seconds(daemon)
    print(f"{each * PROGRAMS / seconds:.0f} posts/s committed")
    spent = {name: (after[name] - before[name]) * 1000 / (each * PROGRAMS) for name in after}
    for name, milliseconds in spent.items():
        print(f"{name:10} {milliseconds:6.2f} ms")


def send(https: Https, token: str, numbers: range) -> None:
    """Post each number's alert once, over several connections."""

    def post_some(some: range) -> None:
        with https.connection() as connection:
            for number in some:
                reply = post_on(connection, "lobby", alert_post(alert(number)), bearer(token))
                assert reply.status == 202, reply

    threads = [
        threading.Thread(target=post_some, args=(numbers[first::CONNECTIONS],))
        for first in range(CONNECTIONS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    if sys.argv[1:2] == ["send"]:
        send(
            Https(int(sys.argv[2]), Path(sys.argv[3])), sys.argv[4], range(int(sys.argv[5]), int(sys.argv[6]))
        )
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else COUNT)
