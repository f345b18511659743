"""Never less protected in between: whatever of a NIC is edited, at no moment of the apply is it more open than before
and after, but for what the plan says.

Stacks of machines with filters, limits, floating IPs and VLANs are applied step by step on the simulator, and after
each operation the ports are compared: what decides on a packet is what did before or what will in the end.
"""

from __future__ import annotations

from itertools import chain, combinations, product
from typing import Any, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from reconciler import LocalCluster, apply, serving
from reconciler.drivers.simulator.driver import Simulator
from reconciler.planner.plan import NoteKind, Plan
from support.fleets import resource
from support.properties import slow
from support.scenario import OPTIONS, converge, desired_of, plan_of

ALLOW = frozenset({"interrupt", "restart", "data"})
MATCHES = ("ip4", "tcp.dst == 80", "ip4.src == $members")
PACKETS = list(chain.from_iterable(combinations(MATCHES, count) for count in range(len(MATCHES) + 1)))


class Port(NamedTuple):
    """A plugged NIC: its rules (direction, priority, match -> action), its VLAN and its outside address."""

    rules: dict[tuple[str, int, str], str]
    vlan: int | None
    outside: str


Ports = dict[tuple[str, str], Port]


class Filmed(Simulator):
    """A simulator that keeps what ports and switches are like after each operation."""

    frames: list[tuple[str, Ports, set[tuple[str, str]]]]

    def run(self, target: Any, operation: str, parameters: Any) -> Any:
        touched = super().run(target, operation, parameters)
        with self._lock.lock:
            self.frames.append((f"{operation} {target.name}", ports(dict(self.world)), limits(dict(self.world))))
        return touched


def ports(world: dict[str, Any]) -> Ports:
    found = {}
    for key, entity in world.items():
        if not key.startswith("VirtualMachine/"):
            continue
        hidden = entity["hidden"]
        devices = {each["mac"]["_address"]: each for each in entity["persistent"]["devices"].get("_interface", [])}
        for mac in hidden["nics"]:
            rules = {
                (way, int(priority), match): rule["operator"]
                for name, rule in hidden.get("acls", {}).get(mac, {}).items()
                for way, priority, match in [name.split(" ", 2)]
            }
            tag = devices.get(mac, {}).get("vlan", {}).get("tag", {}).get("_id")
            outside = [address for address, bound in hidden.get("floating", {}).items() if bound["mac"] == mac]
            found[key.rpartition("/")[2], mac] = Port(rules, tag, "".join(outside))
    return found


def limits(world: dict[str, Any]) -> set[tuple[str, str]]:
    switches = ((key, each) for key, each in world.items() if key.startswith("VirtualMachineNetwork/"))
    return {(key.rpartition("/")[2], limit) for key, each in switches for limit in each["hidden"].get("qos", {})}


def verdict(port: Port, way: str, packet: tuple[str, ...]) -> str:
    """What happens to a packet: the rules of the highest priority decide, and of those the strictest."""
    found = {key[1]: set[str]() for key in port.rules if key[0] == way and key[2] in packet}
    for key, action in port.rules.items():
        if key[0] == way and key[2] in packet:
            found[key[1]].add(action)
    return "drop" if found and "drop" in found[max(found)] else "allow"


@st.composite
def stacks(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Two machines on a switch and a bridge, whose NICs have something of everything."""
    outside = {"subnet": "10.9.1.0/24", "gateway": "10.9.1.1", "dhcp": "10.9.1.2"}
    front = {"subnet": "10.1.1.0/24", "gateway": "10.1.1.1", "dhcp": "10.1.1.2"}
    members = draw(st.sets(st.integers(3, 6), min_size=1))
    pool = {"nodeName": "node1", "type": "localfs", "url": "/var/lib/libvirt/disks"}
    documents = [
        resource("VirtualMachinePool", "disks", pool),
        resource("VirtualMachineNetwork", "front", {"nodeName": "node1", "switch": front}),
        resource("VirtualMachineNetwork", "outside", {"nodeName": "node1", "switch": outside}),
        resource("VirtualMachineNetwork", "office", {"nodeName": "node1", "bridge": {"name": "br-lan", "nic": "eth1"}}),
        resource(
            "VirtualMachineNetwork",
            "members",
            {"nodeName": "node1", "addresses": [f"10.1.1.{each}" for each in sorted(members)]},
        ),
    ]
    given = draw(st.permutations(["ip4", "ip6", "ip", "icmp"]))
    for number in (1, 2):
        documents += draw(machines(number, given[number * 2 - 2 : number * 2]))
    return documents


@st.composite
def machines(draw: st.DrawFn, number: int, matches: list[str]) -> list[dict[str, Any]]:
    nics = [draw(filtered(number, matches))]
    if draw(st.booleans()):
        tagged: dict[str, Any] = {"mac": f"52:54:00:00:{number:02x}:20", "type": "l2bridge", "source": "br-lan"}
        tagged |= draw(st.fixed_dictionaries({}, optional={"vlan": st.integers(10, 11), "model": st.just("e1000")}))
        nics.append(tagged)
    disk = {"nodeName": "node1", "pool": "disks", "capacity": "10Gi"}
    spec = {
        "nodeName": "node1",
        "osVariant": "debian12",
        "cpu": {"count": 1},
        "memory": {"size": "1Gi"},
        "disks": [{"target": "vda", "disk": f"vm-{number}-root", "boot": True}],
        "nics": nics,
    }
    return [
        resource("VirtualMachineDisk", f"vm-{number}-root", disk),
        resource("VirtualMachine", f"vm-{number}", spec),
    ]


@st.composite
def filtered(draw: st.DrawFn, number: int, matches: list[str]) -> dict[str, Any]:
    """A NIC on the switch with rules, perhaps limits and an outside address; its MAC and address may become others."""
    keys = st.tuples(st.sampled_from(["from", "to"]), st.sampled_from(MATCHES), st.sampled_from([50, 100, 150]))
    found = draw(st.dictionaries(keys, st.sampled_from(["allow", "drop"]), max_size=4))
    nic: dict[str, Any] = {
        "mac": f"52:54:00:00:{number:02x}:{draw(st.sampled_from(['10', '10', '11']))}",
        "type": "l3bridge",
        "source": "br-int",
        "network": "front",
        "ip": f"10.1.1.{number * 20 + draw(st.integers(0, 1))}",
        "acls": [
            {"direction": way, "match": match, "priority": priority, "action": action}
            for (way, match, priority), action in found.items()
        ],
    }
    if draw(st.booleans()):
        nic["floatingIP"] = {"address": f"10.9.1.{number * 20 + draw(st.integers(0, 1))}/24"}
        nic["floatingIP"]["externalNetwork"] = "outside"
    chosen = draw(st.lists(st.sampled_from(matches), unique=True, max_size=2))
    if chosen:
        nic["qosRules"] = [
            {"direction": "to", "match": match, "rateKbps": draw(st.integers(10, 11)), "burstKbps": 10}
            for match in chosen
        ]
    return nic


def exposed(made: Plan) -> set[tuple[str, str]]:
    """Machine and subject of what the plan says is less protected for a moment."""
    return {(note.id.name, str(note.details["what"])) for note in made.notes if note.kind is NoteKind.EXPOSED}


def open_nics(noted: set[tuple[str, str]]) -> set[tuple[str, str]]:
    return {(name, what.removeprefix("nics[").removesuffix("]")) for name, what in noted if what.startswith("nics[")}


@slow
@given(stacks(), stacks())
def test_no_port_is_more_open_than_before_and_after(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> None:
    world: dict[str, Any] = {}
    node = Filmed(world, "node1")
    node.frames = []
    with LocalCluster(":memory:") as cluster, serving(cluster, lambda name: node):
        converge(cluster, desired_of(before), allow=ALLOW)
        first = ports(world)
        had = limits(world)
        node.frames.clear()
        made = plan_of(cluster, desired_of(after), allow=ALLOW)
        assert not made.problems
        assert apply(made, cluster, options=OPTIONS).ok
        assert not plan_of(cluster, desired_of(after), allow=ALLOW).steps
    last, noted = ports(world), exposed(made)
    unplugged = {(step.resource.name, step.at) for step in map(Unplugged, made.steps) if step.at}
    handed = {what for _, what in noted if what.startswith("the limit")}
    for operation, seen, there in node.frames:
        for nic, port in seen.items():
            began, ends = first.get(nic), last.get(nic)
            if began is not None and ends is not None and nic not in unplugged:
                check_staying(operation, nic, port, began, ends)
            elif ends is not None and nic not in first:
                settled = all(port.rules.get(key) == "drop" for key, each in ends.rules.items() if each == "drop")
                assert settled or nic in open_nics(noted), (operation, nic, port)
                if settled and (ends.vlan is None or port.vlan == ends.vlan):
                    check_no_more_open(operation, nic, port, ends)
            if port.outside and nic in last and nic not in first:
                assert port.rules == last[nic].rules, (operation, nic, "is reachable before its rules are there")
        for switch, limit in had & limits(world):
            assert (switch, limit) in there or f"the limit '{limit}' of {switch}" in handed, (operation, limit)


class Unplugged:
    """The NIC that a step takes away, if any."""

    def __init__(self, step: Any) -> None:
        self.resource = step.resource
        self.at = step.changes[0].path[1] if step.operation == "UnplugNIC" else ""


def check_staying(operation: str, nic: tuple[str, str], port: Port, began: Port, ends: Port) -> None:
    """A NIC that stays plugged in: each packet is treated as before or as in the end."""
    for way, packet in product(("from", "to"), PACKETS):
        decided = {verdict(each, way, packet) for each in (began, ends)}
        assert verdict(port, way, packet) in decided, (operation, nic, way, packet, port, began, ends)
    assert port.vlan in (began.vlan, ends.vlan), (operation, nic)


def check_no_more_open(operation: str, nic: tuple[str, str], port: Port, ends: Port) -> None:
    """A new NIC, once all that drop are there: nothing passes that will not pass in the end."""
    for way, packet in product(("from", "to"), PACKETS):
        if verdict(port, way, packet) == "allow":
            assert verdict(ends, way, packet) == "allow", (operation, nic, way, packet, port, ends)
