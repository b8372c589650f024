"""The frames of an enrolment: one from the client, two from the server (docs/protocol.md).

server -> client    authority    the CA's certificate, which the client compares with its invite
client -> server    redeem       the invite's secret and a certificate request
server -> client    enrolled     the certificate, or an error frame
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chatd.errors import ChatdError
from chatd.proto.frames import JsonObject
from chatd.proto.invite_code import SECRET_BYTES
from chatd.proto.request_base import NameText
from chatd.proto.text import visible

# A redeem frame has 600 bytes.
REDEEM_LIMIT = 4 * 1024
# The answers: PEM texts of two certificates at most, and 16 addresses.
ANSWER_LIMIT = 32 * 1024
_Pem = Annotated[str, Field(max_length=8 * 1024)]


class EnrolFrame(BaseModel):
    """Base of the frames. Unknown fields are ignored, so that newer peers may add some."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


class AuthorityFrame(EnrolFrame):
    """The CA of the server's certificate as PEM text.

    After a rotation also all CAs that invites may name, and in `crosses` the certificates in which these
    certify each other. ``binding`` is for renewals, where TLS ends in the gateway.
    """

    type: Literal["authority"]
    ca: _Pem
    roots: Annotated[list[_Pem], Field(max_length=8)] = []
    crosses: Annotated[list[_Pem], Field(max_length=8)] = []
    binding: Annotated[str, Field(pattern=r"^([0-9a-f]{2}){0,64}$")] = ""


class RequestingFrame(EnrolFrame):
    """A certificate request (DER) in base64, and a name for the device or ""."""

    csr: Annotated[str, Field(max_length=3 * 1024)]
    device: NameText = ""

    @property
    def request(self) -> bytes:
        """The certificate request. Raises E217."""
        try:
            return base64.b64decode(self.csr, validate=True)
        except (binascii.Error, ValueError):
            raise ChatdError("E217", "the certificate request is not base64") from None


class RedeemFrame(RequestingFrame):
    """An invite's secret in hex, and the name that it has to be for, "" for any."""

    type: Literal["redeem"]
    user: NameText = ""
    secret: Annotated[str, Field(pattern=rf"^[0-9a-f]{{{2 * SECRET_BYTES}}}$", repr=False)]


class RenewFrame(EnrolFrame):
    """A device's certificate (PEM), and a signature of its key in hex (`chatd.pki.renewal_proof`)."""

    type: Literal["renew"]
    certificate: _Pem
    # An ECDSA signature of P-256 has at most 72 bytes.
    proof: Annotated[str, Field(pattern=r"^([0-9a-f]{2}){8,72}$")]


class ReenrolFrame(RequestingFrame):
    """From the gateway only: a device's certificate (PEM) that the client has shown in TLS."""

    type: Literal["reenrol"]
    certificate: _Pem


class EnrolledFrame(EnrolFrame):
    """What an identity file holds, but for the private key. Texts of certificates are PEM."""

    type: Literal["enrolled"]
    certificate: _Pem
    ca: _Pem
    instance: NameText
    user: NameText
    device: NameText
    role: NameText
    addresses: Annotated[list[Annotated[str, Field(max_length=260)]], Field(max_length=16)]


def parse_enrol_frame(message: JsonObject, model: type[EnrolFrame]) -> EnrolFrame:
    """Parse a decoded frame. Raises E102 naming the wrong field, or the error that an error frame holds."""
    if message.get("type") == "error":
        raise _told(message)
    try:
        return model.model_validate(message)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        field = visible(".".join(map(str, first["loc"]))[:80], newlines=False)
        raise ChatdError("E102", f"a frame of an enrolment: field {field}: {first['msg']}") from None


def _told(message: JsonObject) -> ChatdError:
    texts = {name: message.get(name) for name in ("code", "reason", "fix")}
    if not all(isinstance(text, str) for text in texts.values()):
        return ChatdError("E100", "the server sent a malformed error")
    shown = {name: visible(str(text)[:500], newlines=False) for name, text in texts.items()}
    try:
        return ChatdError(**shown)
    except KeyError:
        return ChatdError("E100", shown["reason"], shown["fix"])
