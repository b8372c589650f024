"""Redeem a pasted invite on a thread, so that the window stays alive."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from pathlib import Path

from chatctl.client import InviteResult, Patience, join
from chatctl.window.identity_input import FILE_NAME, make_place
from chatd.errors import ChatdError
from chatd.proto.invite_code import InviteCode, given_invite, parse_code

# Redeeming again with the same code is safe, and needed, after these.
_AGAIN = ("E5", "E607")

Outcome = InviteResult | ChatdError


def take_invite(given: str) -> InviteCode:
    """Read an invite as a mail may have wrapped it. Raises E215."""
    return parse_code(given_invite(given))


def redeem(
    code: InviteCode, folder: Path, saw: Callable[[str], None], busy: Callable[[str], None]
) -> InviteResult:
    """Redeem an invite and store the identity in ``folder``. ``saw`` gets the fingerprint of the server's CA,
    ``busy`` a sentence if the server has to be asked again.

    Raises E608 if a usable identity is there, and what `join` raises. An unusable one is kept as
    identity.pem.old if the invite is redeemed, and stays in its place if not.
    """
    moved = make_place(folder)
    try:
        return join(code, folder / FILE_NAME, saw=saw, patience=Patience(told=busy))
    except ChatdError as error:
        if moved is not None:
            moved.replace(folder / FILE_NAME)
        if error.code.startswith(_AGAIN):
            raise ChatdError(error.code, error.reason, "press Start again: the invite still works") from None
        raise


class Redeeming:
    """One redemption under way.

    ``fingerprint``: that of the server's CA, "" until it was seen. ``busy``: why it takes longer, or "".
    """

    def __init__(self, code: InviteCode, folder: Path) -> None:
        self.fingerprint, self.busy = "", ""
        self._outcome: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
        work = threading.Thread(target=self._run, args=(code, folder), name="redeem", daemon=True)
        work.start()

    def outcome(self) -> Outcome | None:
        """Return what came of it; None while it is under way."""
        try:
            return self._outcome.get_nowait()
        except queue.Empty:
            return None

    def _run(self, code: InviteCode, folder: Path) -> None:
        # Told after a defect, too: the window waits for it.
        outcome: Outcome = ChatdError("E614", "the invite could not be redeemed")
        try:
            outcome = redeem(code, folder, self._saw, self._be_told)
        except ChatdError as error:
            outcome = error
        except OSError as error:
            outcome = ChatdError("E606", f"{folder} cannot be written: {error.strerror}")
        finally:
            self._outcome.put(outcome)

    def _saw(self, fingerprint: str) -> None:
        self.fingerprint = fingerprint

    def _be_told(self, text: str) -> None:
        self.busy = text
