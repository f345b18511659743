"""What shows that a guest answers again: a port that takes connections, a path of HTTP, or its guest agent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from reconciler.model.resource import ResourceId

DEFAULT_TIMEOUT = 300  # seconds
DEFAULT_SCHEME = "http"
TCP = "tcp"
GUEST_AGENT = "guestAgent"
BY_ADDRESS = ("tcp", "http")  # ways that need an address; a manifest declares one of them, or the guest agent


class Readiness(NamedTuple):
    """Whom to ask whether a machine is ready, and for how many seconds to try.

    A guest agent has no address and no port: the machine itself shows whether it answers.
    """

    machine: ResourceId
    scheme: str  # tcp, http, https, guestAgent
    address: str = ""
    port: int = 0
    path: str = ""  # of http and https
    timeout: int = DEFAULT_TIMEOUT

    def __str__(self) -> str:
        if self.scheme == GUEST_AGENT:
            return f"the guest agent of {self.machine}"
        host = f"[{self.address}]" if ":" in self.address else self.address
        if self.scheme == TCP:
            return f"{TCP} {host}:{self.port}"
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def with_machine(self) -> str:
        """Who is asked, and of which machine that is."""
        return str(self) if self.scheme == GUEST_AGENT else f"{self} of {self.machine}"


def address_of(spec: Mapping[str, Any]) -> str:
    """The address that the machine of this spec is asked at: the one declared, else that of its first NIC with one.

    Empty if there is none.
    """
    asked = _asked(spec)
    addresses = (nic["ip"] for nic in spec.get("nics", ()) if "ip" in nic)
    return str(asked.get("address") or next(addresses, ""))


def readiness_of(machine: ResourceId, spec: Mapping[str, Any]) -> Readiness | None:
    """The readiness in the valid spec of a machine; None where it declares none."""
    if "readiness" not in spec:
        return None
    asked = _asked(spec)
    timeout = spec["readiness"].get("timeout", DEFAULT_TIMEOUT)
    if GUEST_AGENT in spec["readiness"]:
        return Readiness(machine, GUEST_AGENT, timeout=timeout)
    scheme = asked.get("scheme", DEFAULT_SCHEME) if "http" in spec["readiness"] else TCP
    return Readiness(machine, scheme, address_of(spec), asked["port"], asked.get("path", ""), timeout)


def _asked(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    readiness = spec.get("readiness", {})
    found: Mapping[str, Any] = next((readiness[way] for way in BY_ADDRESS if way in readiness), {})
    return found
