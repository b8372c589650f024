"""The settings of a cluster: the log in a stream of NATS JetStream, for several machines."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from chatd.config.sections import HostPort, ListenAddress, Section
from chatd.proto.alpn import is_loopback
from chatd.proto.text import is_host_port

# JetStream keeps at most five replicas of a stream.
MEMBERS_LIMIT: Final = 5
_NODE: Final = r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?"

# Of a stream on NATS servers of one's own, however many there are: it outlives the loss of one.
OUTSIDE_REPLICAS: Final = 3
NATS_LIMIT: Final = 10


def _nats_url(url: str) -> str:
    scheme, _, address = url.partition("://")
    if scheme not in ("nats", "tls") or not is_host_port(address):
        raise ValueError(
            f"{url!r} is not nats://HOST:PORT or tls://HOST:PORT; a login is in certs/nats-login.key"
        )
    if scheme == "nats" and not is_loopback(address.rpartition(":")[0].strip("[]")):
        raise ValueError(f"{url}: messages would be readable on the way: use tls://")
    return url


NatsUrl = Annotated[str, Field(max_length=270), AfterValidator(_nats_url)]
NodeName = Annotated[str, Field(pattern=f"^{_NODE}$")]


def stream_replicas(members: int) -> int:
    """Return how many of so many machines keep the stream. A fourth would cost, and save nothing."""
    return 3 if members == 4 else max(1, members)


class ClusterSection(Section):
    """The log in a stream of NATS JetStream, which `chatd cluster init` sets up."""

    node: Annotated[str, Field(pattern=f"^({_NODE})?$")] = ""
    """Name of this machine in the cluster; "" means that the log is on this machine only."""
    members: Annotated[dict[NodeName, HostPort], Field(max_length=MEMBERS_LIMIT)] = Field(default={})
    """HOST:PORT of the route port of each machine, this one included; {} means this machine alone."""
    listen: ListenAddress = ""
    """HOST:PORT where this machine listens for the others; "" means its address in cluster.members."""
    nats: Annotated[list[NatsUrl], Field(max_length=NATS_LIMIT)] = Field(default=[])
    """NATS servers of one's own, as tls://HOST:PORT or, on loopback, nats://HOST:PORT; [] means that each
    machine has one that chatd starts."""
    nats_syncs: bool = False
    """Whether these have `sync_interval: always`, which chatd cannot see; without it there is a warning."""
    copies: Annotated[int, Field(ge=1, le=MEMBERS_LIMIT)] = 2
    """Machines whose log must have a message before it is acknowledged; at most as many as there are."""
    lead_seconds: Annotated[float, Field(ge=0.5, le=60)] = 2.0
    """Seconds of silence of the leading machine after which another one claims the lead."""
    stall_seconds: Annotated[float, Field(ge=0.5, le=60)] = 3.0
    """Seconds that the stream may take for a commit; after that the hub starts anew and finds out."""
    isolated_seconds: Annotated[float, Field(ge=1, le=3600)] = 10.0
    """Seconds without a leading machine after which this one refuses what it cannot have decided."""
    isolated: Literal["read", "cut"] = "read"
    """What becomes of the sessions then: they can read, or they are cut and go to the other addresses."""

    @property
    def others(self) -> dict[str, str]:
        """The members but this machine."""
        return {name: address for name, address in self.members.items() if name != self.node}

    @property
    def listens_on(self) -> str:
        """HOST:PORT of the route port; "" without other members."""
        return (self.listen or self.members[self.node]) if self.others else ""

    @property
    def replicas(self) -> int:
        """The number of NATS servers that keep the stream."""
        return OUTSIDE_REPLICAS if self.nats else stream_replicas(len(self.members))

    @model_validator(mode="after")
    def _knows_itself(self) -> Self:
        if self.members and self.node not in self.members:
            raise ValueError("cluster.members must include the machine of cluster.node")
        if len(set(self.members.values())) < len(self.members):
            raise ValueError("two machines of cluster.members have the same address")
        if self.nats and self.node and not self.members:
            raise ValueError("cluster.nats is for several machines: chatd cluster init b=HOST c=HOST")
        return self
