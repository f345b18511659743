"""Switches and the ports that NICs of machines have on them.

What is set for a port is kept with the machine, by the MAC address of its NIC, and goes when the NIC goes:
``acls`` (see ``acl.py``) and ``floating`` (see ``floating.py``).
"""

from __future__ import annotations

from typing import Any

from reconciler.drivers.request import TOOL, refuse
from reconciler.drivers.simulator.act import Act, Entity, copied
from reconciler.model.kinds import NETWORK


def switch(act: Act, name: str) -> Entity:
    network = act.find(NETWORK, name)
    if network is None or network["spec"]["type"] != "l3network":
        refuse(TOOL, f"switch {name} does not exist")
    return network


def nic_on(act: Act, name: str) -> str:
    """The MAC address of the target's first NIC on a switch."""
    switch(act, name)
    nics = act.entity["hidden"]["nics"]
    found = next((str(mac) for mac, port in nics.items() if port.get("switch") == name), None)
    if found is None:
        refuse(TOOL, f"VM {act.target.name} has no NIC on switch {name}")
    return found


def nic_named(act: Act) -> str:
    """The MAC address of the target's NIC that is named along with its switch."""
    name, mac = act.text("swName"), act.text("vmmac").lower()
    switch(act, name)
    port = act.entity["hidden"]["nics"].get(mac)
    if port is None:
        refuse(TOOL, f"VM {act.target.name} has no NIC {mac}")
    if port.get("switch") != name:
        refuse(TOOL, f"NIC {mac} is not on switch {name}")
    return mac


def forget(act: Act, machine: Entity, mac: str) -> None:
    """A NIC is gone for good, and with it what was set for its port."""
    hidden = machine["hidden"]
    hidden["nics"].pop(mac, None)
    for rule in hidden.get("acls", {}).pop(mac, {}).values():
        name_addresses(act, rule["names"], -1)
    for address in [each for each, bound in hidden.get("floating", {}).items() if bound["mac"] == mac]:
        release(act, machine, address)


def forget_gone(act: Act, machine: Entity) -> None:
    """Forget the NICs that no definition has any more; to be called when the machine is settled."""
    for mac in list(machine["hidden"]["nics"]):
        if f"nic {mac}" not in machine["hidden"]["claims"]:
            forget(act, machine, mac)


def put_back(act: Act, machine: Entity, nics: dict[str, Any]) -> None:
    """Have a machine have the NICs it had; what was set for the ports of those it keeps stays."""
    for mac in list(machine["hidden"]["nics"]):
        if mac not in nics or nics[mac].get("switch") != machine["hidden"]["nics"][mac].get("switch"):
            forget(act, machine, mac)
    machine["hidden"]["nics"] = copied(nics)


def name_addresses(act: Act, names: list[str], by: int) -> None:
    """Count the rules that name an address list."""
    for name in names:
        act.count(f"named:{act.target.namespace}/{name}", by)


def release(act: Act, machine: Entity, address: str) -> None:
    """Have a floating address be free again."""
    bound = machine["hidden"]["floating"].pop(address)
    act.keep(f"fip:{act.target.namespace}/{bound['outside']}/{address}", None)
    switch(act, bound["outside"])["hidden"]["ports"] -= 1
