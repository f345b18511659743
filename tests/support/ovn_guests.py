"""Guests on a switch of OVN: machines of ``OvnMachines`` with an address each, and namespaces in their place."""

from __future__ import annotations

from typing import NamedTuple

from contracts.driver_contract_steps import Steps
from reconciler.model.kinds import MACHINE
from reconciler.model.resource import ResourceId
from support.ovn_hosts import Guest, Ovn
from support.ovn_machines import OvnMachines

ADDRESSES = {"web-1": "192.168.5.9", "near": "192.168.5.20", "far": "192.168.5.21"}
MACS = {name: f"52:54:00:0a:00:0{number}" for number, name in enumerate(ADDRESSES, 1)}
WEB = ADDRESSES["web-1"]


class Guests(NamedTuple):
    """``web`` on host 1, ``near`` beside it and ``far`` on host 2."""

    web: Guest
    near: Guest
    far: Guest


def guest(ovn: Ovn, does: Steps, machines: OvnMachines, name: str, host: int) -> Guest:
    """A machine on the switch ``web-net``, which has its address."""
    mac = MACS[name]
    does.machine(name, network=f"type=l3bridge,source=br-int,ip={ADDRESSES[name]},switch=web-net,mac={mac}")
    (nic,) = machines.nics(ResourceId(MACHINE, name)) or []
    made = ovn.guest(host, nic.port, mac)
    assert made.dhcp()["ip"] == ADDRESSES[name]
    return made


def three_guests(ovn: Ovn, does: Steps, machines: OvnMachines) -> Guests:
    """The switch and all of them."""
    does.switch()
    return Guests(*(guest(ovn, does, machines, name, host) for name, host in zip(ADDRESSES, (1, 1, 2), strict=True)))
