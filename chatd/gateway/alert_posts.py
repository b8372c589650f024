"""Posts of Alertmanager (version 4 of its webhook) and of Grafana, which has the same shape and more.

https://prometheus.io/docs/alerting/latest/configuration/#webhook_config
https://grafana.com/docs/grafana/latest/alerting/configure-notifications/manage-contact-points/integrations/webhook-notifier/
"""

from __future__ import annotations

import hashlib
from typing import Any

from chatd.gateway.hook_messages import (
    MESSAGES_LIMIT,
    BadPostError,
    HookMessage,
    Key,
    at,
    line,
    link,
    read_json,
)
from chatd.proto.frames import JsonObject, compact

_STATUS = ("firing", "resolved")
_NAME_CHARS, _SEVERITY_CHARS, _SUMMARY_CHARS = 100, 30, 300
# Labels that are not in the first line, and values of Grafana's queries.
_LABELS, _LABEL_CHARS = 8, 60
_ID_CHARS = 100
_NOT_LISTED = ("alertname", "severity")


def alert_messages(body: bytes) -> list[HookMessage]:
    """Return a message for each alert. Raises BadPostError."""
    post = read_json(body)
    alerts = post.get("alerts")
    if not isinstance(alerts, list):
        raise BadPostError("field alerts: a list of alerts is missing")
    if len(alerts) > MESSAGES_LIMIT:
        raise BadPostError(f"field alerts: a post may have {MESSAGES_LIMIT} alerts: set max_alerts")
    return [_message(alert, post) for alert in alerts]


def _message(alert: Any, post: JsonObject) -> HookMessage:
    if not isinstance(alert, dict):
        raise BadPostError("field alerts: an alert is no object")
    status = alert.get("status", post.get("status"))
    if status not in _STATUS:
        raise BadPostError("field status: neither firing nor resolved")
    key = _key(alert, "firing")
    if status == "firing":
        return HookMessage(key, _text(alert, status))
    return HookMessage(_key(alert, status), _text(alert, status), answers=key)


def _key(alert: JsonObject, status: str) -> Key:
    """Return what makes an alert this one: its labels, and when it began."""
    fingerprint = line(alert.get("fingerprint"), _ID_CHARS)
    if not fingerprint:
        fingerprint = hashlib.sha256(compact(_labels(alert))).hexdigest()
    return ("alert", fingerprint, status, line(alert.get("startsAt"), _ID_CHARS))


def _labels(alert: JsonObject) -> list[tuple[str, str]]:
    labels = alert.get("labels")
    if not isinstance(labels, dict):
        return []
    return sorted((name, text) for name, text in labels.items() if isinstance(text, str))


def _text(alert: JsonObject, status: str) -> str:
    labels = alert.get("labels")
    severity = line(at(labels, "severity"), _SEVERITY_CHARS)
    name = line(at(labels, "alertname"), _NAME_CHARS) or "an alert without a name"
    head = f"{status.upper()}: {name}" + (f" [{severity}]" if severity else "")
    told = (at(alert, "annotations", field) for field in ("summary", "description", "message"))
    summary = next((text for text in (line(one, _SUMMARY_CHARS) for one in told) if text), "")
    pages = (link(alert.get(field)) for field in ("panelURL", "dashboardURL", "generatorURL"))
    page = next((one for one in pages if one), "")
    lines = (f"{head} {summary}".strip(), " ".join([*_listed(alert), *_values(alert)]), page)
    return "\n".join(one for one in lines if one)


def _listed(alert: JsonObject) -> list[str]:
    shown = [(name, text) for name, text in _labels(alert) if name not in _NOT_LISTED]
    return [line(f"{name}={text}", _LABEL_CHARS) for name, text in shown[:_LABELS]]


def _values(alert: JsonObject) -> list[str]:
    values = alert.get("values")
    if not isinstance(values, dict):
        return []
    numbers = [(name, one) for name, one in values.items() if isinstance(one, float | int)]
    return [line(f"{name}={one:.6g}", _LABEL_CHARS) for name, one in numbers[:_LABELS]]
