"""Limits of a back end are problems of a plan for it, at the field of the manifest, and of no other plan."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from reconciler import LocalCluster, Policy
from reconciler.manifests.writer import yaml_text
from reconciler.model.resource import API_VERSION
from reconciler.planner import make_plan
from reconciler.planner.plan import Plan
from reconciler.reconcile import observe_stack
from support.scenario import desired_of

Document = dict[str, Any]


def resource(kind: str, name: str, **spec: Any) -> Document:
    return {"apiVersion": API_VERSION, "kind": f"VirtualMachine{kind}", "metadata": {"name": name}, "spec": spec}


NIC = {
    "mac": "52:54:00:00:00:01", "type": "l3bridge", "source": "br-int", "network": "web-net", "ip": "192.168.5.9",
    "acls": [{"direction": "from", "match": "ip4", "priority": 100, "action": "allow"}],
    "qosRules": [{"direction": "from", "match": "ip4", "priority": 100, "rateKbps": 10, "burstKbps": 10}],
    "qos": {"inbound": "1Mi"},
}  # fmt: skip
STACK: dict[str, Document] = {
    "pool": resource("Pool", "disks", type="localfs", url="/var/lib/libvirt/disks"),
    "net": resource("Network", "web-net", switch={"subnet": "192.168.5.0/24", "gateway": "192.168.5.1"}),
    "set": resource("Network", "dmz-hosts", addresses=["192.168.5.20"]),
    "disk": resource("Disk", "web-1-root", pool="disks", capacity="20Gi"),
    "more": resource("Disk", "web-1-more", pool="disks", capacity="20Gi"),
    "vm": resource(
        "",
        "web-1",
        osVariant="debian12",
        cpu={"count": 2},
        memory={"size": "2Gi"},
        disks=[
            {"target": "vda", "disk": "web-1-root", "qos": {"readIops": 100, "totalBytes": "1Mi"}},
            {"target": "vdb", "disk": "web-1-more"},
        ],
        nics=[NIC],
        graphics={"type": "vnc"},
    ),
}

# What uni-virt does not take, and 'reconcile agent' does: where, the value, the field of the problem.
NARROWER: list[tuple[str, tuple[str | int, ...], Any, str]] = [
    ("disk", ("capacity",), "2Ti", "spec.capacity"),
    ("disk", ("capacity",), "512Mi", "spec.capacity"),
    ("vm", ("memory", "size"), "128Gi", "spec.memory.size"),
    ("vm", ("memory", "size"), "64Mi", "spec.memory.size"),
    ("vm", ("disks",), [], "spec.disks"),
    ("vm", ("nics",), [], "spec.nics"),
    ("vm", ("disks", 0, "qos", "readIops"), 100_000, "spec.disks"),
    ("vm", ("disks", 0, "qos", "totalBytes"), "10Gi", "spec.disks"),
    ("vm", ("nics", 0, "acls", 0, "priority"), 1000, "spec.nics[0].acls[0].priority"),
    ("vm", ("nics", 0, "acls", 0, "priority"), 0, "spec.nics[0].acls[0].priority"),
    ("vm", ("nics", 0, "acls", 0, "match"), "tcp || udp", "spec.nics[0].acls[0].match"),
    ("vm", ("nics", 0, "acls", 0, "match"), "ip4.src == $dmz-hosts", "spec.nics[0].acls[0].match"),
    ("vm", ("nics", 0, "qosRules", 0, "match"), "ip4.src == $dmz-hosts", "spec.nics[0].qosRules[0].match"),
    ("vm", ("nics", 0, "qosRules", 0, "rateKbps"), 1_000_001, "spec.nics[0].qosRules[0].rateKbps"),
    ("vm", ("nics", 0, "qosRules", 0, "burstKbps"), 100_001, "spec.nics[0].qosRules[0].burstKbps"),
    ("vm", ("graphics", "listen"), "127.0.0.1", "spec.graphics"),
    ("pool", ("type",), "vdiskfs", "spec.type"),
]

# What only the Java client refuses: uni-virt takes it.
CLIENT_ONLY: list[tuple[str, tuple[str | int, ...], Any]] = [
    ("vm", ("memory", "size"), "99999Mi"),
    ("vm", ("cpu", "count"), 100),
    ("vm", ("nics", 0, "acls", 0, "match"), "ip4.src != $Office && eth.src == 52:54:00:00:00:02"),
    ("vm", ("nics", 0, "qosRules", 0, "priority"), 32_767),
    ("vm", ("nics", 0, "qosRules", 0, "rateKbps"), 1_000_000),
    ("vm", ("nics", 0, "qosRules", 0, "burstKbps"), 100_000),
    ("pool", ("uuid",), "07098ca5-fd17-4fcc-afed-76b0d7fccde4"),
]


def planned(agent: str, name: str = "", path: tuple[str | int, ...] = (), value: Any = None) -> Plan:
    """The plan of the stack with one field changed, on an empty cluster that an agent serves."""
    documents = copy.deepcopy(STACK)
    place: Any = documents[name]["spec"] if name else {}
    for step in path[:-1]:
        place = place[step]
    if path:
        place[path[-1]] = value
    stack: Document = {"apiVersion": API_VERSION, "kind": "Stack", "metadata": {"name": "shop"}}
    stack["spec"] = {"defaults": {"nodeName": "node22"}, **({"agent": agent} if agent else {})}
    with LocalCluster(":memory:") as cluster:
        desired = desired_of(yaml_text([stack, *documents.values()]))
        return make_plan(desired, observe_stack(cluster, desired), Policy())


# uni-virt reports that it makes a switch, and does nothing.
KNOWN = {problem.message for problem in planned("uni-virt").problems}


def places(cases: list[Any]) -> list[str]:
    return [f"{case[0]}-{'.'.join(map(str, case[1]))}-{case[2]}" for case in cases]


@pytest.mark.parametrize(("name", "path", "value", "field"), NARROWER, ids=places(NARROWER))
def test_what_uni_virt_does_not_take_is_a_problem_at_its_field(
    name: str, path: tuple[str | int, ...], value: Any, field: str
) -> None:
    found = [each for each in planned("uni-virt", name, path, value).problems if each.message not in KNOWN]
    assert field in [problem.path for problem in found], found
    assert all("for uni-virt" in each.message or "which uni-virt needs" in each.message for each in found), found
    assert all("reconcile agent" in problem.remedy for problem in found)
    assert all(problem.origin.line for problem in found)


@pytest.mark.parametrize(("name", "path", "value", "field"), NARROWER, ids=places(NARROWER))
def test_our_own_agent_is_sent_it(name: str, path: tuple[str | int, ...], value: Any, field: str) -> None:
    made = planned("", name, path, value)
    assert not made.problems
    assert made.steps


@pytest.mark.parametrize("agent", ["", "uni-virt"])
@pytest.mark.parametrize(("name", "path", "value"), CLIENT_ONLY, ids=places(CLIENT_ONLY))
def test_what_only_the_java_client_refuses_is_planned(
    agent: str, name: str, path: tuple[str | int, ...], value: Any
) -> None:
    found = [each.message for each in planned(agent, name, path, value).problems]
    assert [message for message in found if message not in KNOWN] == []
