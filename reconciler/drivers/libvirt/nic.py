"""NICs of machines, on Linux bridges, on Open vSwitch and in networks of libvirt: API sections 1.6, 1.19 and 1.28."""

from __future__ import annotations

from reconciler.drivers import domain as domains
from reconciler.drivers.domain import Device
from reconciler.drivers.libvirt.binding import VirDomain
from reconciler.drivers.libvirt.context import LibvirtContext, operation
from reconciler.drivers.libvirt.definition import CONFIG, LIVE, definitions, domain_of, scope
from reconciler.drivers.libvirt.exclusive_use import macs_of, require_free_address
from reconciler.drivers.libvirt.host import live_of
from reconciler.drivers.libvirt.open_vswitch import forwards_in_user_space
from reconciler.drivers.libvirt.unplug import unplug
from reconciler.drivers.libvirt.xml_json import Element, from_wire, mac_of, text_of
from reconciler.drivers.operation import LIBVIRT, TOOL, refuse
from reconciler.model.kinds import MACHINE

_SEGMENTATION = ("csum", "tso4", "tso6", "ecn", "ufo")
# A guest that leaves checksums to its card is not understood where nothing completes them: pings pass, TCP does not.
_NO_OFFLOADS = {
    "host": {f"_{name}": "off" for name in ("gso", *_SEGMENTATION)},
    "guest": {f"_{name}": "off" for name in _SEGMENTATION},
}

# Limits of which Open vSwitch takes the average for what is guaranteed, and only the peak for what is allowed.
_PEAKS = ("inbound",)


def nic_device(context: LibvirtContext, mac: str, given: dict[str, str]) -> Device:
    """A NIC as the network text of wire format 6.2 describes it; refuses one whose source this host does not have."""
    mac, type, source = mac.lower(), given.get("type", "bridge"), given.get("source", "")
    if not source:
        refuse(TOOL, f"network of NIC {mac} names no source")
    if type == "l3bridge" and not context.host.routed:
        refuse(TOOL, f"NIC {mac} is of type l3bridge: its port is one of OVN, which this agent does not serve")
    if type == "l3bridge" and "switch" not in given:
        refuse(TOOL, f"NIC {mac} of type l3bridge names no switch")
    if type != "l3bridge" and ("switch" in given or "ip" in given):
        refuse(TOOL, f"NIC {mac} of type {type} cannot have a switch or ip")
    device = domains.nic(mac, type, source, domains.port_id(context.target.name, mac), given.get("model", ""))
    domains.set_bandwidth(device, given)
    if type == "network":
        context.host.connection.networkLookupByName(source)
    if type in domains.VIRTUAL_PORTS:
        for limit in (device.get("bandwidth", {}).get(way, {}) for way in _PEAKS):
            limit |= {"_peak": limit["_average"]} if limit else {}
        if forwards_in_user_space(source):
            device["driver"] = _NO_OFFLOADS
    return device


@operation(MACHINE, "PlugNIC")
def plug_nic(context: LibvirtContext) -> None:
    domain, mac = domain_of(context), context.text("mac").lower()
    given = domains.options(context.text("source"))
    given |= {name: context.text(name) for name in ("type", "inbound", "outbound") if name in context.parameters}
    flags = scope(context, domain)
    device = nic_device(context, mac, given)
    with context.host.claim_lock:
        require_free_address(context, mac, but=context.target.name)
        if any(mac in macs_of(definition) for _, definition in definitions(domain, flags)):
            refuse(LIBVIRT, f"Requested operation is not valid: a NIC with mac {mac} is attached already")
        domain.attachDeviceFlags(text_of(from_wire("interface", device)), flags)


@operation(MACHINE, "UnplugNIC")
def unplug_nic(context: LibvirtContext) -> None:
    domain, mac = domain_of(context), context.text("mac").lower()
    affected = definitions(domain, scope(context, domain))
    found = [(flag, nic_in(context, definition, mac)) for flag, definition in affected]
    for flag, nic in found:
        unplug(context, domain, nic, flag, f"NIC {mac}", lambda: mac not in macs_of(live_of(domain)))


@operation(MACHINE, "TuneNICQoS")
def tune_nic(context: LibvirtContext) -> None:
    domain, mac = domain_of(context), context.text("_interface").lower()
    flags = scope(context, domain)
    nics = [nic_in(context, definition, mac) for _, definition in definitions(domain, flags)]
    given = {way: context.number(way) for way in ("inbound", "outbound") if way in context.parameters}
    limits = {f"{way}.average": rate for way, rate in given.items()}
    if any(nic.find("virtualport[@type='openvswitch']") is not None for nic in nics):
        limits |= {f"{way}.peak": given[way] for way in _PEAKS if way in given}
    for flag in (LIVE, CONFIG):  # libvirt takes one of them at a time
        if flags & flag:
            domain.setInterfaceParameters(mac, limits, flag)


def tag(domain: VirDomain, mac: str, vlan: int | None) -> None:
    """Put a NIC into a VLAN, live and for the next start; with None, take it out of its VLAN.

    What is entered in the database of Open vSwitch alone is lost at the next start.
    """
    for flag, definition in definitions(domain, CONFIG | (LIVE if domain.isActive() else 0)):
        for nic in (each for each in definition.iterfind("devices/interface") if mac_of(each) == mac):
            for known in nic.findall("vlan"):
                nic.remove(known)
            if vlan is not None:
                nic.append(from_wire("vlan", {"tag": {"_id": vlan}}))
            domain.updateDeviceFlags(text_of(nic), flag)


def nic_in(context: LibvirtContext, definition: Element, mac: str) -> Element:
    """The NIC with a MAC address in a definition of the target; refuses where there is none."""
    found = next((each for each in definition.iterfind("devices/interface") if mac_of(each) == mac), None)
    if found is None:
        refuse(LIBVIRT, f"invalid argument: no NIC with mac {mac} found in domain {context.target.name}")
    return found
