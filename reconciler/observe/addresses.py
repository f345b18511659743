"""The addresses of a machine's NICs, for people to look at: nothing is ever compared with them."""

from __future__ import annotations

from typing import Any, NamedTuple

from reconciler.model.shape import Shape
from reconciler.model.wire import ADDRESSES, DYNAMIC, STATIC
from reconciler.observe.reading import element, elements

FLOATING = "floating"
"""The source of an outside address that leads to a NIC."""


class NicAddress(NamedTuple):
    """An address, and who knows it: one of ``ADDRESS_SOURCES``, or ``FLOATING``."""

    address: str
    source: str


def nic_addresses(spec: dict[str, Any], shape: Shape) -> dict[str, tuple[NicAddress, ...]]:
    """MAC -> addresses, of every NIC in the shape of a machine.

    Our agent reports them. Of others no more is known than the static address with which a NIC was applied; and of all,
    the floating address is the one in the shape.
    """
    reported = elements(spec, ADDRESSES)
    return {
        mac: _of([each for each in reported if each.get("mac") == mac], nic)
        for mac, nic in shape.get("nics", {}).items()
    }


def _of(reported: list[dict[str, Any]], nic: Shape) -> tuple[NicAddress, ...]:
    found = [NicAddress(str(each["address"]), str(each.get("source", ""))) for each in reported if each.get("address")]
    declared = str(nic.get("ip") or "")
    if declared not in ("", DYNAMIC) and not any(each.source == STATIC or each.address == declared for each in found):
        found.insert(0, NicAddress(declared, STATIC))
    if floating := element(nic, "floatingIP").get("address"):
        found.append(NicAddress(str(floating).partition("/")[0], FLOATING))
    return tuple(found)
