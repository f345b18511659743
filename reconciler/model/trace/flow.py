"""What is asked: a flow from one end to another, as manifests and the command line write it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import TypeAlias

from reconciler.model.kinds import MACHINE, kind_named
from reconciler.model.problem import shown
from reconciler.model.resource import ResourceId

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

OUTSIDE = "outside"
ARROW = "->"
PING = "icmp"
PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
_PORT = re.compile(r"([a-z]+)/([0-9]{1,5})")
_HOW_ENDS = "Write a machine as vm/web-1, an address as 10.0.0.5, or 'outside'."
_HOW_PORTS = "Write tcp/3306, udp/53, sctp/36412 or icmp."


class FlowError(ValueError):
    """A text that names no flow. ``remedy`` is a sentence in the imperative."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class MachineEnd:
    """A machine; ``nic`` says which of its NICs, by MAC address or by the name of a network, and is mostly empty."""

    id: ResourceId
    nic: str = ""

    def __str__(self) -> str:
        return f"{self.id}@{self.nic}" if self.nic else str(self.id)


@dataclass(frozen=True, slots=True)
class AddressEnd:
    """Whoever has an address; None: some host outside, whose address is not said."""

    address: Address | None = None

    def __str__(self) -> str:
        return OUTSIDE if self.address is None else str(self.address)


End: TypeAlias = MachineEnd | AddressEnd


@dataclass(frozen=True, slots=True)
class Flow:
    """Connections from one end to a port of the other, or pings."""

    source: End
    target: End
    protocol: str  # a key of ``PROTOCOLS``, or ``PING``
    port: int = 0

    def __str__(self) -> str:
        return f"{self.source} {ARROW} {self.target} {self.service}"

    @property
    def service(self) -> str:
        """Protocol and port: ``tcp/3306``."""
        return self.protocol if self.protocol == PING else f"{self.protocol}/{self.port}"

    @property
    def ends(self) -> tuple[End, End]:
        """Source and target."""
        return self.source, self.target


def flow_of(source: str, target: str, service: str) -> Flow:
    """The flow that three words mean. Raises ``FlowError``."""
    flow = Flow(end_of(source), end_of(target), *service_of(service))
    if isinstance(flow.source, AddressEnd) and flow.source == flow.target:
        raise FlowError(f"both ends are {flow.source}", "Name two ends.")
    if isinstance(flow.source, MachineEnd) and isinstance(flow.target, MachineEnd) and flow.source.id == flow.target.id:
        raise FlowError(f"both ends are {flow.source.id}", "What a machine sends to itself reaches no switch.")
    return flow


def end_of(text: str) -> End:
    """The end that a word means: ``vm/web-1``, ``vm/web-1@MAC``, an address, ``outside``. Raises ``FlowError``."""
    if text == OUTSIDE:
        return AddressEnd()
    kind, slash, name = text.partition("/")
    if slash and kind_named(kind) == MACHINE:
        return _machine(name, text)
    try:
        return AddressEnd(ipaddress.ip_address(text))
    except ValueError:
        pass
    if slash and (found := kind_named(kind)) is not None:
        raise FlowError(f"{shown(text)} is a {found}, and flows are from and to machines", _HOW_ENDS)
    raise FlowError(f"{shown(text)} is no end of a flow", _HOW_ENDS)


def _machine(words: str, text: str) -> MachineEnd:
    name, _, nic = words.partition("@")
    namespace, slash, rest = name.partition("/")
    id = ResourceId(MACHINE, rest, namespace) if slash else ResourceId(MACHINE, name)
    if not (id.name and id.namespace) or "/" in id.name or words.endswith("@"):
        raise FlowError(f"{shown(text)} names no machine", _HOW_ENDS)
    return MachineEnd(id, nic.lower())


def service_of(text: str) -> tuple[str, int]:
    """The protocol and port that a word means: ``tcp/3306``; of ``icmp``, 0. Raises ``FlowError``."""
    if text == PING:
        return PING, 0
    found = _PORT.fullmatch(text)
    if found is None or found[1] not in PROTOCOLS:
        raise FlowError(f"{shown(text)} is no protocol with a port", _HOW_PORTS)
    port = int(found[2])
    if not 1 <= port <= 65535:
        raise FlowError(f"port {port} is out of range: 1 to 65535", _HOW_PORTS)
    return found[1], port
