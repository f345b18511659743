"""Switches and the ports that NICs of machines have on them.

What is set for a port is kept with the machine, by the MAC address of its NIC, and goes when the NIC goes:
``acls`` (see ``acl.py``) and ``floating`` (see ``floating.py``).
"""

from __future__ import annotations

from typing import Any

from reconciler.drivers.operation import TOOL, refuse
from reconciler.drivers.simulator.context import Entity, SimulatorContext, deep_copy
from reconciler.model.kinds import NETWORK


def switch(context: SimulatorContext, name: str) -> Entity:
    """The entity of a switch; refuses where there is none of the name."""
    network = context.find(NETWORK, name)
    if network is None or network["spec"]["type"] != "l3network":
        refuse(TOOL, f"switch {name} does not exist")
    return network


def first_nic_on(context: SimulatorContext, name: str) -> str:
    """The MAC address of the target's first NIC on a switch."""
    switch(context, name)
    nics = context.entity["hidden"]["nics"]
    found = next((str(mac) for mac, port in nics.items() if port.get("switch") == name), None)
    if found is None:
        refuse(TOOL, f"VM {context.target.name} has no NIC on switch {name}")
    return found


def nic_by_mac(context: SimulatorContext) -> str:
    """The MAC address of the target's NIC that is named along with its switch."""
    name, mac = context.text("swName"), context.text("vmmac").lower()
    switch(context, name)
    port = context.entity["hidden"]["nics"].get(mac)
    if port is None:
        refuse(TOOL, f"VM {context.target.name} has no NIC {mac}")
    if port.get("switch") != name:
        refuse(TOOL, f"NIC {mac} is not on switch {name}")
    return mac


def forget(context: SimulatorContext, machine: Entity, mac: str) -> None:
    """Forget a NIC that was removed, and what was set for its port."""
    hidden = machine["hidden"]
    hidden["nics"].pop(mac, None)
    for rule in hidden.get("acls", {}).pop(mac, {}).values():
        count_address_references(context, rule["names"], -1)
    for address in [each for each, bound in hidden.get("floating", {}).items() if bound["mac"] == mac]:
        release(context, machine, address)


def forget_removed(context: SimulatorContext, machine: Entity) -> None:
    """Forget the NICs that no definition has any more; to be called after ``update_claims``."""
    for mac in list(machine["hidden"]["nics"]):
        if f"nic {mac}" not in machine["hidden"]["claims"]:
            forget(context, machine, mac)


def restore_nics(context: SimulatorContext, machine: Entity, nics: dict[str, Any]) -> None:
    """Restore the NICs a machine had; what was set for the ports of those it keeps stays."""
    for mac in list(machine["hidden"]["nics"]):
        if mac not in nics or nics[mac].get("switch") != machine["hidden"]["nics"][mac].get("switch"):
            forget(context, machine, mac)
    machine["hidden"]["nics"] = deep_copy(nics)


def count_address_references(context: SimulatorContext, names: list[str], by: int) -> None:
    """Change the number of rules that name address lists."""
    for name in names:
        context.increment(f"named:{context.target.namespace}/{name}", by)


def release(context: SimulatorContext, machine: Entity, address: str) -> None:
    """Release a floating address."""
    bound = machine["hidden"]["floating"].pop(address)
    context.put(f"fip:{context.target.namespace}/{bound['outside']}/{address}", None)
    switch(context, bound["outside"])["hidden"]["ports"] -= 1
