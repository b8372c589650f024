"""The settings of the gateway."""

from __future__ import annotations

from pathlib import PurePath
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from chatd.config.sections import FilePath, HostPort, ListenAddress, Network, Section


class GatewaySection(Section):
    """HTTPS for browsers and monitors: the web page, /metrics, /healthz, /readyz."""

    listen: ListenAddress = ""
    """HOST:PORT to listen on, such as 127.0.0.1:5443; "" means that there is no gateway."""
    monitors: Annotated[list[Network], Field(max_length=100)] = Field(default=["127.0.0.0/8", "::1/128"])
    """Addresses and networks that may read /metrics."""
    addresses: Annotated[list[HostPort], Field(max_length=16)] = Field(default=[])
    """HOST:PORT addresses by which browsers reach the gateway, if not by a host of server.addresses and the
    port of gateway.listen (behind a router, say); the first is in the links of invites."""
    client_certificates: Literal["off", "optional", "required"] = "off"
    """Whether browsers may log in with a client certificate, or must; off: a key that the page keeps."""
    certificate_file: FilePath = ""
    """PEM file with a certificate that browsers trust, and its chain; "" means the server's own."""
    key_file: FilePath = ""
    """PEM file with the key of gateway.certificate_file."""

    @property
    def files(self) -> list[str]:
        """The named files, for which relative paths begin at the home."""
        return [self.certificate_file, self.key_file] if self.certificate_file else []

    @model_validator(mode="after")
    def _has_both(self) -> Self:
        if bool(self.certificate_file) != bool(self.key_file):
            raise ValueError("certificate_file and key_file belong together")
        own = ("ca.pem", "server.pem", "server.key")
        names = [PurePath(path).name for path in self.files]
        if len({*names, *own}) < len(names) + len(own):
            raise ValueError("certificate_file and key_file need names that differ, and from the server's")
        return self

    hook_rate: Annotated[float, Field(ge=0.1, le=10_000)] = 50.0
    """Messages per second of one hook on average; ten seconds' worth may come at once."""
