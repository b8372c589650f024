"""Bounds and words of requests that clients name, too. They do not load the table of requests for them."""

from __future__ import annotations

from typing import Literal

# Events in one page of resume, history and search.
PAGE_LIMIT = 500
# Messages in one `messages` request: as many replies as a page of history has on a large screen.
SEQS_LIMIT = 50
# Edits of one message. The event that redacts a message lists them.
EDITS_LIMIT = 50
# Different reactions to one message: more would not fit below it, and pages carry them all.
REACTIONS_LIMIT = 20
# A word such as "+1", or an emoji, which may consist of ten code points.
REACTION_CHARS = 16
# Invites of one request: with a few rooms each it fits into a frame, and costs the hub milliseconds.
INVITES_AT_ONCE = 50

HookKind = Literal["alertmanager", "grafana", "github", "slack", "text"]
# What signs each post instead of sending a token. The server derives its secret.
SIGNED_KINDS = frozenset(("github",))
Mode = Literal["open", "members", "read-only"]
HistoryRule = Literal["all", "since_join"]
