"""Who may read what of the gateway, and what it answers while the hub is away."""

from __future__ import annotations

import socket
import ssl
from threading import Lock
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from chatd.child.attempts import BURST_SECONDS
from chatd.config.schema import Settings
from chatd.errors import ChatdError
from chatd.gateway.gateway_listener import ATTEMPTS, GatewayListener
from chatd.gateway.http_messages import HttpAnswer, HttpRequest, Route
from chatd.gateway.monitoring import Monitoring
from chatd.gateway.routes import Routes
from chatd.logs.repeats import Repeats
from chatd.pki.authority import Authority
from chatd.supervisor import listeners
from tests.support.certificates import NOW


def routes(metrics: dict[str, Any] | ChatdError, **gateway: Any) -> Routes:
    def ask() -> dict[str, Any]:
        if isinstance(metrics, ChatdError):
            raise metrics
        return metrics

    settings = Settings.model_validate(
        {"gateway": gateway, "server": {"addresses": ["chat.example.org:5000", "[2001:db8::1]:5000"]}}
    )
    pem = Authority.create("lab", now=NOW).certificate.public_bytes(Encoding.PEM)
    monitoring = Monitoring(ask, {"ca.pem": pem, "server.pem": pem})
    posts = Route(lambda request: HttpAnswer(200, request.path), ("POST",), body_limit=10)
    return Routes(settings, {**monitoring.routes(), "/hook/": posts}, 5443)


def answer(found: Routes, request: HttpRequest) -> HttpAnswer:
    route = found.find(request)
    answered = route if isinstance(route, HttpAnswer) else route.answer(request)
    assert isinstance(answered, HttpAnswer)
    return answered


def status(
    found: Routes, path: str, address: str = "127.0.0.1", host: str = "127.0.0.1:1", method: str = "GET"
) -> int:
    return answer(found, HttpRequest(method, path, {"host": host}, address)).status


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", 200), ("127.9.9.9", 200), ("::1", 200), ("::ffff:127.0.0.1", 200),
        ("10.0.0.1", 403), ("2001:db8::1", 403), ("fe80::1%eth0", 403), ("::ffff:10.0.0.1", 403),
    ],
)  # fmt: skip
def test_metrics_are_for_the_box_itself_by_default(address: str, expected: int) -> None:
    assert status(routes({"writable": True}), "/metrics", address) == expected


def test_monitors_elsewhere_are_named_in_the_settings() -> None:
    found = routes({"writable": True}, monitors=["10.1.0.0/16", "fe80::/10"])
    assert status(found, "/metrics", "10.1.2.3") == 200
    assert status(found, "/metrics", "fe80::1%eth0") == 200
    assert status(found, "/metrics", "10.2.2.3") == 403
    assert status(found, "/metrics", "127.0.0.1") == 403


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_for_everybody(path: str) -> None:
    assert status(routes({"writable": True}), path, "203.0.113.9") == 200


def test_ready_means_that_messages_can_be_sent() -> None:
    full = routes({"writable": False})
    away = routes(ChatdError("E502"))
    for found in (full, away):
        said = answer(found, HttpRequest("GET", "/readyz", {"host": "localhost"}, "127.0.0.1"))
        assert (said.status, dict(said.headers)["Retry-After"]) == (503, "5")
        assert status(found, "/healthz") == 200
    assert status(full, "/metrics") == 200
    assert status(away, "/metrics") == 503


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1:5443", 200), ("[::1]:5443", 200), ("localhost", 200), ("LOCALHOST:1", 200),
        ("chat.example.org:5443", 200), ("Chat.Example.Org", 200), ("[2001:db8::1]", 200),
        ("evil.example", 421), ("chat.example.org.evil.example", 421), ("", 421),
    ],
)  # fmt: skip
def test_other_names_that_point_here_are_refused(host: str, expected: int) -> None:
    """DNS rebinding: a page of another site must not read this box through its own name."""
    assert status(routes({"writable": True}), "/metrics", host=host) == expected


@pytest.mark.parametrize(
    "path", ["/", "/metrics/", "/../metrics", "//metrics", "/%6detrics", "/METRICS", "metrics", "*"]
)
def test_a_path_is_exact(path: str) -> None:
    assert status(routes({"writable": True}), path) == 404


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "get"])
def test_nothing_can_be_changed(path: str, method: str) -> None:
    assert status(routes({"writable": True}), path, method=method) == 405


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/hook/ops", 200),
        ("/hook/%2e%2e", 200),
        ("/hook/", 404),
        ("/hook", 404),
        ("/hook/a/b", 404),
        ("/hook//", 404),
    ],
)
def test_a_route_with_a_name_takes_one_segment(path: str, expected: int) -> None:
    assert status(routes({}), path, method="POST") == expected


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("https://127.0.0.1:1", 200), ("https://127.0.0.1:2", 403), ("http://127.0.0.1:1", 403),
        ("null", 403),
        ("https://evil.example", 403), ("https://127.0.0.1:1, https://evil.example", 403), ("", 403),
    ],
)  # fmt: skip
def test_a_page_of_another_site_changes_nothing(origin: str, expected: int) -> None:
    headers = {"host": "127.0.0.1:1", "origin": origin}
    assert answer(routes({}), HttpRequest("POST", "/hook/ops", headers, "127.0.0.1")).status == expected


def test_an_address_that_is_in_use_is_named_with_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "BIND_SECONDS", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with (
            pytest.raises(ChatdError, match=r"E605.*gateway\.listen") as refused,
            listeners.listen_gateway(address),
        ):
            pass
    assert "gateway.listen" in refused.value.fix


def test_a_flood_from_many_blocks_is_bounded_in_all() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        listener = GatewayListener(
            sock, ssl.create_default_context(), lambda _: HttpAnswer(200), Repeats(), Lock(), 10.0
        )
        admitted = 0
        for number in range(2_000):
            request = socket.socket(socket.AF_UNIX)
            if listener.verify_request(request, (f"10.{number // 250}.{number % 250}.1", 1)):
                admitted += 1
                listener.slots.release(request)
            request.close()
        # Whoever was turned away has given the place back.
        assert listener.slots.take(sock, "192.0.2.1")
    assert ATTEMPTS <= admitted <= ATTEMPTS * (BURST_SECONDS + 10)
