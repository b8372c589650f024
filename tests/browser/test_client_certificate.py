"""A desktop whose browser has a client certificate: TLS logs in, and the page has no key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from tests.support.browser import WAIT_MS
from tests.support.https import gateway
from tests.support.live_page import LivePage


def test_a_client_certificate_logs_in(browser: Browser, tmp_path: Path) -> None:
    with gateway(tmp_path / "home", CHATD_GATEWAY__CLIENT_CERTIFICATES="required") as (daemon, https):
        pem = daemon.add_user("bob").read_text()
        # An identity file begins with a header; PEM readers skip it.
        (tmp_path / "bob.pem").write_text(pem[pem.index("-----BEGIN") :])
        origin = f"https://127.0.0.1:{https.port}"
        certificate: Any = {
            "origin": origin,
            "certPath": tmp_path / "bob.pem",
            "keyPath": tmp_path / "bob.pem",
        }
        context = browser.new_context(ignore_https_errors=True, client_certificates=[certificate])
        context.set_default_timeout(WAIT_MS)
        tab = LivePage(context, https.port)
        tab.wait_connected()
        tab.run("await model.enter('#lobby'); await model.send('by certificate');")
        tab.wait("model.here.rows.at(-1)?.body === 'by certificate'")
        assert tab.value("[model.me, model.device, model.identity]") == ["bob", "laptop", None]
        refused = tab.value("model.admin.addDevice({ seconds: 3600 }).catch((fault) => fault.code)")
        assert refused == "E608"
        context.close()
