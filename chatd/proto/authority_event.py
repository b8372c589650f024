"""The event about a new CA of the server."""

from typing import Literal

from chatd.proto.event_base import FromServer


class AuthorityChanged(FromServer):
    """The server has a new CA, and this device's certificate is of the old one: renew it now.

    The renewal names the new CA, which the old one has certified.
    """

    type: Literal["authority_changed"]
