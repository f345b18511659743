"""Hypothesis strategies: small valid fleets, and the same fleets edited.

What no operation can change (a pool's url, a disk's pool) follows from the name; a disk grows with every
generation, as it cannot shrink. Everything else is drawn anew.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

API = "gitops.doslab.io/v1alpha1"
NODES = ("node1", "node2")


def resource(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": API, "kind": kind, "metadata": {"name": name}, "spec": spec}


@st.composite
def fleets(draw: st.DrawFn, generation: int = 0) -> list[dict[str, Any]]:
    """Pools, networks, disks and machines that fit together, in any order of documents."""
    documents = []
    for node in NODES:
        state = draw(st.sampled_from(["Active", None])) if generation == 0 else None
        spec = {"nodeName": node, "type": "localfs", "url": f"/var/lib/libvirt/{node}"}
        spec |= {"state": state} if state else {}
        spec |= draw(st.fixed_dictionaries({}, optional={"autostart": st.booleans()}))
        documents.append(resource("VirtualMachinePool", f"pool-{node}", spec))
    networks = draw(st.sets(st.integers(1, 2), max_size=2)) | {1}
    for number in sorted(networks):
        switch = {"subnet": f"10.{number}.1.0/24", "dhcp": f"10.{number}.1.2"}
        switch["gateway"] = draw(st.sampled_from([f"10.{number}.1.1", f"10.{number}.1.254"]))
        documents.append(resource("VirtualMachineNetwork", f"net-{number}", {"nodeName": "node1", "switch": switch}))
    outside = {"subnet": "10.9.1.0/24", "gateway": "10.9.1.1", "dhcp": "10.9.1.2"}
    documents.append(resource("VirtualMachineNetwork", "outside", {"nodeName": "node1", "switch": outside}))
    for node in NODES:
        bridge = {"name": f"br-{node}", "nic": "eth1"}
        bridge |= draw(st.fixed_dictionaries({}, optional={"vlan": st.integers(10, 12)}))
        documents.append(resource("VirtualMachineNetwork", f"lan-{node}", {"nodeName": node, "bridge": bridge}))
    members = draw(st.sets(st.integers(1, 5), min_size=1, max_size=3))
    addresses = {"nodeName": "node1", "addresses": [f"10.1.1.{member}" for member in sorted(members)]}
    documents.append(resource("VirtualMachineNetwork", "members", addresses))
    documents += draw(images())
    for number in sorted(draw(st.sets(st.integers(1, 3), max_size=3))):
        documents += draw(machines(number, sorted(networks), generation))
    return draw(st.permutations(documents))


@st.composite
def images(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A template and what is made of it, each there or not."""
    pool = {"nodeName": "node1", "type": "localfs", "content": "vmdi", "url": "/var/lib/libvirt/images"}
    golden = {"nodeName": "node1", "pool": "pool-node1", "capacity": "10Gi"}
    documents = [
        resource("VirtualMachinePool", "images", pool),
        resource("VirtualMachineDisk", "golden", golden),
        resource(
            "VirtualMachineDiskImage", "debian12", {"nodeName": "node1", "pool": "images", "from": {"disk": "golden"}}
        ),
    ]
    layered = {"nodeName": "node1", "pool": "pool-node1", "from": {"image": "debian12"}, "capacity": "12Gi"}
    clone = {"nodeName": "node1", "pool": "pool-node1", "from": {"disk": "golden"}}
    seed = {"nodeName": "node1", "pool": "pool-node1", "cloudInit": {"userData": "#cloud-config"}}
    optional = [
        resource("VirtualMachineDisk", "layered", layered),
        resource("VirtualMachineDisk", "clone", clone),
        resource("VirtualMachineDisk", "seed", seed),
        resource("VirtualMachineDiskSnapshot", "golden-before", {"nodeName": "node1", "disk": "golden"}),
        resource("VirtualMachineImage", "template", {"nodeName": "node1", "disk": "golden", "pool": "images"}),
    ]
    return documents + [document for document in optional if draw(st.booleans())]


MATCHES = ("ip4", "tcp.dst == 80", "ip4.src == $members && udp")


@st.composite
def rules(draw: st.DrawFn, nic: str) -> dict[str, Any]:
    """What a switch does for a NIC. Limits are the switch's, so each needs a match of its own."""
    priorities = draw(st.sets(st.sampled_from([None, 50]), max_size=2))
    acls, limits = [], []
    for priority in sorted(priorities, key=str):
        which = {"direction": draw(st.sampled_from(["from", "to"])), "match": draw(st.sampled_from(MATCHES))}
        which |= {"priority": priority} if priority else {}
        if draw(st.booleans()):
            acls.append(which | {"action": draw(st.sampled_from(["allow", "drop"]))})
        else:
            which["match"] = f"ip4.src == {nic}"
            limits.append(which | {"rateKbps": draw(st.integers(10, 12)), "burstKbps": 100})
    return {**({"acls": acls} if acls else {}), **({"qosRules": limits} if limits else {})}


@st.composite
def machines(draw: st.DrawFn, number: int, networks: list[int], generation: int) -> list[dict[str, Any]]:
    """One machine and all disks it could have, attached or not."""
    node = NODES[number % 2]
    documents, disks = [], []
    extra = draw(st.sets(st.sampled_from(["b", "c"])))
    for letter in ("a", *sorted(extra)):
        name = f"vm-{number}-disk-{letter}"
        growth = draw(st.integers(generation * 10, generation * 10 + 5))
        spec = {"nodeName": node, "pool": f"pool-{node}", "capacity": f"{10 + growth}Gi"}
        if letter == "c":
            spec["snapshots"] = draw(st.sampled_from([[], ["before"], ["after", "before"]]))
        documents.append(resource("VirtualMachineDisk", name, spec))
        disk: dict[str, Any] = {"target": f"vd{letter}", "disk": name}
        if letter == "a":
            disk["boot"] = True
        elif draw(st.booleans()):
            disk["cache"] = draw(st.sampled_from(["none", "writeback"]))
        if draw(st.booleans()):
            disk["qos"] = draw(st.sampled_from([{"readIops": 100}, {"writeIops": 7, "readIops": 9}]))
        disks.append(disk)
    nics = []
    for index in sorted(draw(st.sets(st.integers(1, 3), min_size=1, max_size=3))):
        nic: dict[str, Any] = {"mac": f"52:54:00:00:{number:02x}:{index:02x}"}
        if draw(st.booleans()):
            network = draw(st.sampled_from(networks))
            nic |= {"type": "l3bridge", "source": "br-int", "network": f"net-{network}"}
            if draw(st.booleans()):
                nic["ip"] = f"10.{network}.1.{number * 10 + index}"
            nic |= draw(rules(f"10.0.{number}.{index}"))
        elif draw(st.booleans()):
            nic |= {"type": "l2bridge", "source": f"br-{node}"}
            nic |= draw(st.fixed_dictionaries({}, optional={"vlan": st.integers(10, 12)}))
        else:
            nic |= {"type": "bridge", "source": draw(st.sampled_from(["virbr0", "virbr1"]))}
        if draw(st.booleans()):
            nic["qos"] = {"inbound": f"{draw(st.integers(1, 9))}Mi"}
        nics.append(nic)
    for nic in nics:
        alone = [each.get("network") for each in nics].count(nic.get("network")) == 1
        if "ip" in nic and alone and "floatingIP" not in str(nics) and draw(st.booleans()):
            outside = draw(st.integers(100, 101)) + number * 2
            nic["floatingIP"] = {"address": f"10.9.1.{outside}/24", "externalNetwork": "outside"}
    count = draw(st.integers(1, 4))
    spec = {
        "nodeName": node,
        "osVariant": "debian12",
        "cpu": draw(st.sampled_from([{"count": count}, {"count": count, "max": 4}, {"count": count, "cores": 4}])),
        "memory": draw(st.sampled_from([{"size": "1Gi"}, {"size": "1Gi", "max": "2Gi"}, {"size": "2Gi"}])),
        "disks": draw(st.permutations(disks)),
        "nics": draw(st.permutations(nics)),
        "updatePolicy": {"restart": draw(st.sampled_from(["Manual", "Automatic"]))},
    }
    states = st.sampled_from(["Running", "Stopped", "Paused", "Unmanaged"])
    spec |= draw(st.fixed_dictionaries({}, optional={"autostart": st.booleans(), "powerState": states}))
    spec |= draw(st.sampled_from([{}, {"stopMode": "Force"}, {"stopMode": "Graceful"}]))
    console = draw(st.sampled_from(["vnc", "spice"]))
    spec["graphics"] = {"type": console}
    if console == "spice":
        spec |= draw(st.fixed_dictionaries({}, optional={"usbRedirection": st.integers(0, 2)}))
    if draw(st.booleans()):
        bus = f"{number:02x}"
        spec["passthrough"] = [{"type": "pci", "bus": bus, "subBus": "00", "device": str(draw(st.integers(0, 1)))}]
    documents.append(resource("VirtualMachine", f"vm-{number}", spec))
    return documents
