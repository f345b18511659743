"""Floating addresses: API sections 1.36 and 1.37, as wire format 7.1 has them.

``floating`` of a machine: per outside address the NIC it leads to (``mac``), its switch, the outside switch and
the prefix length. The wire shows none of it.
"""

from __future__ import annotations

from reconciler.drivers.operation import TOOL, refuse
from reconciler.drivers.simulator import lease, port
from reconciler.drivers.simulator.context import Entity, SimulatorContext, key_of, name_at, operation
from reconciler.model.kinds import MACHINE


@operation(MACHINE, "BindFloatingIP")
def bind(context: SimulatorContext) -> None:
    inside, outside = context.text("swName"), context.text("outSwName")
    address, _, prefix = context.text("fip").partition("/")
    mac = port.first_nic_on(context, inside)
    if not port.switch(context, inside)["spec"]["data"]["routerInfo"]["name"]:
        refuse(TOOL, f"switch {inside} has no router")
    if inside == outside:
        refuse(TOOL, f"switch {inside} cannot be its own outside")
    network = port.switch(context, outside)
    _require_free(context, network, outside, address)
    floating = context.entity["hidden"].setdefault("floating", {})
    for taken, bound in floating.items():
        if bound["mac"] == mac:
            refuse(TOOL, f"NIC {mac} has the floating IP {taken} already")
    floating[address] = {"mac": mac, "switch": inside, "outside": outside, "prefix": int(prefix)}
    context.put(f"fip:{context.target.namespace}/{outside}/{address}", key_of(context.target))
    lease.make_way(context, outside, address)
    # The router takes a port on the outside switch.
    network["hidden"]["ports"] += 1


def _require_free(context: SimulatorContext, network: Entity, name: str, address: str) -> None:
    place = f"{context.target.namespace}/{name}/{address}"
    holder = context.get(f"fip:{place}") or context.get(f"ip:{place}")
    if holder is not None:
        refuse(TOOL, f"{address} is already in use on switch {name} by {MACHINE}/{name_at(holder)}")
    gateway = network["spec"]["data"]["gatewayInfo"]
    if address in (gateway["router"], gateway["server_id"]):
        refuse(TOOL, f"{address} is already in use on switch {name} by its gateway or router")


@operation(MACHINE, "UnbindFloatingIP")
def unbind(context: SimulatorContext) -> None:
    machine, mac, address = context.entity, port.nic_by_mac(context), context.text("fip")
    bound = machine["hidden"].get("floating", {}).get(address)
    if bound is None or bound["mac"] != mac:
        refuse(TOOL, f"floating IP {address} is not bound to NIC {mac}")
    ip = machine["hidden"]["nics"][mac]["ip"]
    # Any is taken where the switch chose the address: manifests do not know it.
    if ip not in ("dynamic", context.text("vmip")):
        refuse(TOOL, f"floating IP {address} leads to {ip}, not to {context.text('vmip')}")
    port.release(context, machine, address)
