"""What monitors ask: whether the server is up, whether it is ready, and its metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cryptography import x509

from chatd.errors import ChatdError
from chatd.gateway.http_messages import Audience, HttpAnswer, HttpRequest, Route
from chatd.gateway.metrics_text import OPENMETRICS, PLAIN, metrics_text, wants_openmetrics
from chatd.pki.profiles import PARSE_ERRORS
from chatd.proto.frames import JsonObject

RETRY_SECONDS = "5"


class Monitoring:
    """Answers monitors, on any thread. ``ask_metrics`` returns the hub's metrics or raises ChatdError."""

    def __init__(self, ask_metrics: Callable[[], JsonObject], files: Mapping[str, bytes]) -> None:
        self._ask_metrics = ask_metrics
        self.reload(files)

    def reload(self, files: Mapping[str, bytes]) -> None:
        """Take new certificates."""
        self._certificates = {name: _end_of(files[f"{name}.pem"]) for name in ("ca", "server")}

    def routes(self) -> dict[str, Route]:
        return {
            "/healthz": Route(self._health),
            "/readyz": Route(self._ready),
            "/metrics": Route(self._metrics, audience=Audience.MONITORS),
        }

    def _health(self, _: HttpRequest) -> HttpAnswer:
        """Say that this process serves."""
        return HttpAnswer(200, "ok\n")

    def _ready(self, _: HttpRequest) -> HttpAnswer:
        """Say whether messages can be sent: the hub answers, has space to write, and hears a leader."""
        try:
            metrics = self._ask_metrics()
        except ChatdError:
            return _not_ready("the hub does not answer")
        if not metrics["writable"]:
            return _not_ready("the disk is full")
        cluster = metrics.get("cluster") or {}
        if cluster.get("isolated"):
            return _not_ready("this node is cut off from the others of its cluster")
        return HttpAnswer(200, "ready\n")

    def _metrics(self, request: HttpRequest) -> HttpAnswer:
        try:
            metrics = self._ask_metrics()
        except ChatdError:
            return _not_ready("the hub does not answer")
        openmetrics = wants_openmetrics(request.headers.get("accept", ""))
        text = metrics_text({**metrics, "certificates": self._certificates}, openmetrics=openmetrics)
        return HttpAnswer(200, text, OPENMETRICS if openmetrics else PLAIN)


def _not_ready(why: str) -> HttpAnswer:
    return HttpAnswer(503, f"not ready: {why}\n", headers=[("Retry-After", RETRY_SECONDS)])


def _end_of(pem: bytes) -> float:
    """Return when a certificate ends, in seconds since 1970. Raises ChatdError E606."""
    try:
        return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()
    except PARSE_ERRORS as error:
        raise ChatdError("E606", f"a certificate in certs/ cannot be read: {error}") from None
