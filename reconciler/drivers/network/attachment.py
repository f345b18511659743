"""Where NICs of machines are attached: the ports of switches by which OVN knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from reconciler.drivers.nics import Nic
from reconciler.drivers.operation import TOOL, refuse
from reconciler.model.kinds import NETWORK

if TYPE_CHECKING:
    from reconciler.drivers.network.context import NetworkContext
    from reconciler.drivers.network.database import Change, Row


class Attachment(NamedTuple):
    """A NIC and the rows of its port and of the switch that the port is on."""

    nic: Nic
    port: Row
    switch: Row


def _attachments(change: Change, nics: list[Nic]) -> list[Attachment]:
    """Those of the NICs that OVN knows, in their order."""
    ports = {port.name: (port, switch) for switch in change.rows("Logical_Switch") for port in switch.ports}
    return [Attachment(nic, *ports[nic.port]) for nic in nics if nic.port in ports]


def switch(context: NetworkContext, name: str) -> Row:
    """The row of a switch that this program made; refuses where there is none of the name."""
    table, row = context.links.owned().get(context.id(NETWORK, name), ("", None))
    if table != "Logical_Switch":
        refuse(TOOL, f"switch {name} does not exist")
    return row


def nics_of(context: NetworkContext) -> list[Nic]:
    """The NICs of the target; to be asked before a change, as a driver of machines may take its time."""
    return context.machines.nics(context.target) or []


def named_nic(context: NetworkContext, change: Change, nics: list[Nic]) -> Attachment:
    """The NIC of the target that is named along with its switch."""
    name, mac = context.text("swName"), context.text("vmmac").lower()
    row = switch(context, name)
    nic = next((each for each in nics if each.mac == mac), None)
    if nic is None:
        refuse(TOOL, f"VM {context.target.name} has no NIC {mac}")
    found = _attachments(change, [nic])
    if not found or found[0].switch != row:
        refuse(TOOL, f"NIC {mac} is not on switch {name}")
    return found[0]


def first_nic(context: NetworkContext, change: Change, nics: list[Nic], name: str) -> Attachment:
    """The target's first NIC on a switch."""
    row = switch(context, name)
    found = next((each for each in _attachments(change, nics) if each.switch == row), None)
    if found is None:
        refuse(TOOL, f"VM {context.target.name} has no NIC on switch {name}")
    return found
