"""Floating addresses: API sections 1.36 and 1.37, as wire format 7.1 has them.

``floating`` of a machine: per outside address the NIC it leads to (``mac``), its switch, the outside switch and
the prefix length. The wire shows none of it.
"""

from __future__ import annotations

from reconciler.drivers.request import TOOL, refuse
from reconciler.drivers.simulator import port
from reconciler.drivers.simulator.act import Act, Entity, key_of, name_at
from reconciler.drivers.simulator.effect import effect
from reconciler.model.kinds import MACHINE


@effect(MACHINE, "BindFloatingIP")
def bind(act: Act) -> None:
    inside, outside = act.text("swName"), act.text("outSwName")
    address, _, prefix = act.text("fip").partition("/")
    mac = port.nic_on(act, inside)
    if not port.switch(act, inside)["spec"]["data"]["routerInfo"]["name"]:
        refuse(TOOL, f"switch {inside} has no router")
    if inside == outside:
        refuse(TOOL, f"switch {inside} cannot be its own outside")
    network = port.switch(act, outside)
    _must_be_free(act, network, outside, address)
    floating = act.entity["hidden"].setdefault("floating", {})
    for taken, bound in floating.items():
        if bound["mac"] == mac:
            refuse(TOOL, f"NIC {mac} has the floating IP {taken} already")
    floating[address] = {"mac": mac, "switch": inside, "outside": outside, "prefix": int(prefix)}
    act.keep(f"fip:{act.target.namespace}/{outside}/{address}", key_of(act.target))
    # The router takes a port on the outside switch.
    network["hidden"]["ports"] += 1


def _must_be_free(act: Act, network: Entity, name: str, address: str) -> None:
    place = f"{act.target.namespace}/{name}/{address}"
    holder = act.value(f"fip:{place}") or act.value(f"ip:{place}")
    if holder is not None:
        refuse(TOOL, f"{address} is already in use on switch {name} by {MACHINE}/{name_at(holder)}")
    gateway = network["spec"]["data"]["gatewayInfo"]
    if address in (gateway["router"], gateway["server_id"]):
        refuse(TOOL, f"{address} is already in use on switch {name} by its gateway or router")


@effect(MACHINE, "UnbindFloatingIP")
def unbind(act: Act) -> None:
    machine, mac, address = act.entity, port.nic_named(act), act.text("fip")
    bound = machine["hidden"].get("floating", {}).get(address)
    if bound is None or bound["mac"] != mac:
        refuse(TOOL, f"floating IP {address} is not bound to NIC {mac}")
    ip = machine["hidden"]["nics"][mac]["ip"]
    # What an address is that the switch hands out by itself is not modelled.
    if ip not in ("dynamic", act.text("vmip")):
        refuse(TOOL, f"floating IP {address} leads to {ip}, not to {act.text('vmip')}")
    port.release(act, machine, address)
