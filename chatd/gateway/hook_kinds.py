"""How the posts of each kind of hook are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from chatd.gateway.alert_posts import alert_messages
from chatd.gateway.github_posts import github_messages
from chatd.gateway.hook_messages import HookMessage
from chatd.gateway.plain_posts import slack_messages, text_messages

Reading = Callable[[Mapping[str, str], bytes], list[HookMessage]]


def _alerts(_: Mapping[str, str], body: bytes) -> list[HookMessage]:
    return alert_messages(body)


READERS: Final[dict[str, Reading]] = {
    "alertmanager": _alerts,
    "grafana": _alerts,
    "github": github_messages,
    "slack": slack_messages,
    "text": text_messages,
}
# They repeat a post after a status of 500 and above only, so that 429 would lose an alert.
REPEAT_ONLY_ERRORS: Final = frozenset(("alertmanager", "grafana"))
