"""What to do about a forbidden word: a list of rules, each for some roles and rooms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from chatd.policy.filter import WordFilter, fold

# The room of announcements.
EVERYWHERE = "*"


class FilterAction(StrEnum):
    """``warn``: sent as it is, and the writer is told. ``redact``: sent with the word masked. ``hold``: sent
    once a moderator has approved it. ``block``: refused."""

    WARN = "warn"
    REDACT = "redact"
    HOLD = "hold"
    BLOCK = "block"


@dataclass(frozen=True, slots=True)
class FilterRule:
    """``roles`` and ``rooms`` are those it holds for; empty for all. It never holds for ``exempt`` roles.

    A rule that names roles is meant for them: the permission to override the filter does not help them.
    """

    words: WordFilter
    action: FilterAction
    roles: frozenset[str] = frozenset()
    rooms: frozenset[str] = frozenset()
    exempt: frozenset[str] = frozenset()

    def holds(self, role: str, room: str) -> bool:
        """Whether the rule is for a writer of this role and this room.

        "" stands for a text that is in no room, `EVERYWHERE` for one that all rooms read.
        """
        return (
            role not in self.exempt
            and (not self.roles or role in self.roles)
            and (not self.rooms or room in self.rooms or room == EVERYWHERE)
        )


class FoundWord(NamedTuple):
    """A forbidden word, and what is done about it."""

    action: FilterAction
    word: str
    firm: bool = False


class Filtered(NamedTuple):
    """A text as it may be sent, and what was found in it; at most one word of each rule."""

    text: str
    found: tuple[FoundWord, ...]

    def word(self, action: FilterAction) -> str | None:
        """Return the first word about which this is done."""
        return next((one.word for one in self.found if one.action is action), None)

    def stopping(self) -> str | None:
        """Return the first word that keeps the text from being sent now: blocked ones before held ones."""
        return self.word(FilterAction.BLOCK) or self.word(FilterAction.HOLD)

    def firm(self) -> Filtered:
        """Return what remains for a writer who overrides the filter."""
        return Filtered(self.text, tuple(one for one in self.found if one.firm))

    def refusing(self) -> str | None:
        """Return the first word that keeps out a text of which nothing can be masked or held."""
        return next((one.word for one in self.found if one.action is not FilterAction.WARN), None)


class FilterRules:
    """The rules of the settings, in their order."""

    def __init__(self, rules: Sequence[FilterRule]) -> None:
        self._rules = tuple(rules)

    def judge(self, text: str, role: str, room: str = "") -> Filtered:
        """Apply the rules for a role and a room. The time is linear in the text for each of them."""
        rules = [rule for rule in self._rules if rule.holds(role, room)]
        if not rules:
            return Filtered(text, ())
        folded = fold(text)
        found = []
        for rule in rules:
            word = rule.words.find_in(folded)
            if word is None:
                continue
            action = rule.action
            if action is FilterAction.REDACT:
                text = rule.words.mask(text)
                if rule.words.find(text) is not None:
                    action = FilterAction.BLOCK  # it cannot be masked
            found.append(FoundWord(action, word, bool(rule.roles)))
        return Filtered(text, tuple(found))
