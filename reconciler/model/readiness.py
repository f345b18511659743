"""What shows that the service in a guest answers again: a port that takes connections, or a path of HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from reconciler.model.resource import ResourceId

DEFAULT_TIMEOUT = 300  # seconds
DEFAULT_SCHEME = "http"
TCP = "tcp"
WAYS = ("tcp", "http")  # of which a manifest declares one


class Readiness(NamedTuple):
    """Whom to ask whether a machine is ready, and for how many seconds to try."""

    machine: ResourceId
    scheme: str  # tcp, http, https
    address: str
    port: int
    path: str = ""  # of http and https
    timeout: int = DEFAULT_TIMEOUT

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        if self.scheme == TCP:
            return f"{TCP} {host}:{self.port}"
        return f"{self.scheme}://{host}:{self.port}{self.path}"


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
    scheme = asked.get("scheme", DEFAULT_SCHEME) if "http" in spec["readiness"] else TCP
    timeout = spec["readiness"].get("timeout", DEFAULT_TIMEOUT)
    return Readiness(machine, scheme, address_of(spec), asked["port"], asked.get("path", ""), timeout)


def _asked(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    readiness = spec.get("readiness", {})
    found: Mapping[str, Any] = next((readiness[way] for way in WAYS if way in readiness), {})
    return found
