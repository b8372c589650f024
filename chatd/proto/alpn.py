"""Protocol names for ALPN, and the condition under which the one without the envelope is allowed."""

from __future__ import annotations

import ipaddress

ALPN_ENVELOPE = "chatd/1"
# Records without the envelope: clients offer it on loopback only (docs/protocol.md, section 4).
ALPN_PLAIN = "chatd-plain/1"
# A client without a certificate, which has an invite (docs/protocol.md, Enrolment).
ALPN_ENROL = "chatd-enrol/1"
# Browsers and monitors, at the gateway (RFC 7301, 6).
ALPN_HTTP = "http/1.1"
# TLS alerts (RFC 8446, 6) that close such a connection before TLS begins, and tell the client why.
ALERT_DOWN = b"\x15\x03\x03\x00\x02\x02\x50"  # internal_error: the enrol process does not take it
ALERT_BUSY = b"\x15\x03\x03\x00\x02\x02\x31"  # access_denied: too many attempts or wrong codes
ALERT_OFF = b"\x15\x03\x03\x00\x02\x02\x78"  # no_application_protocol: switched off


def is_loopback(host: str) -> bool:
    """Whether ``host`` (an IP address or name) can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
