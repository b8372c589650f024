"""Protocol names for ALPN, and the condition under which the one without the envelope is allowed."""

from __future__ import annotations

import ipaddress

ALPN_ENVELOPE = "chatd/1"
# Records without the envelope: clients offer it on loopback only (docs/protocol.md, section 4).
ALPN_PLAIN = "chatd-plain/1"
# A client without a certificate, which has an invite (docs/protocol.md, Enrolment).
ALPN_ENROL = "chatd-enrol/1"


def is_loopback(host: str) -> bool:
    """Whether ``host`` (an IP address or name) can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
