"""Never more machines interrupted at a time than may be, whatever of them is edited; each is waited for."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler import Options, apply
from reconciler.planner.policy import DeletionLimit, InterruptionLimit
from support.fleets import resource
from support.interruptions import Watcher
from support.properties import slow
from support.scenario import converge, desired_of, plan_of, served
from support.services import Services

ALLOW = frozenset({"interrupt", "restart", "data"})


@st.composite
def fleets(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Machines with NICs and data disks that may become others, with sizes that take a restart, and with a switch
    that some of them share, whose DHCP server may get another address."""
    pool = {"nodeName": "node1", "type": "localfs", "url": "/var/lib/libvirt/disks"}
    disk = {"nodeName": "node1", "pool": "disks", "capacity": "10Gi"}
    switch = {"subnet": "10.1.1.0/24", "gateway": "10.1.1.1", "dhcp": f"10.1.1.{draw(st.integers(2, 3))}"}
    documents = [
        resource("VirtualMachinePool", "disks", pool),
        resource("VirtualMachineNetwork", "front", {"nodeName": "node1", "switch": switch}),
    ]
    for number in range(5):
        documents += [resource("VirtualMachineDisk", f"vm-{number}-{part}", disk) for part in ("root", "a", "b")]
        disks: list[dict[str, Any]] = [{"target": "vda", "disk": f"vm-{number}-root", "boot": True}]
        data = draw(st.sampled_from(["", "a", "b"]))
        disks += [{"target": "vdb", "disk": f"vm-{number}-{data}"}] if data else []
        nics = [
            {"mac": f"52:54:00:00:{draw(st.integers(0, 1)):02x}:{number:02x}", "type": "bridge", "source": "virbr0"}
        ]
        if number < 3:
            shared = {"type": "l3bridge", "source": "br-int", "network": "front", "ip": f"10.1.1.1{number}"}
            nics.append({"mac": f"52:54:00:01:00:{number:02x}", **shared})
        spec = {
            "nodeName": "node1",
            "osVariant": "debian12",
            "cpu": {"count": 1, "max": draw(st.integers(1, 2))},
            "memory": {"size": "1Gi"},
            "disks": disks,
            "nics": nics,
            "updatePolicy": {"restart": draw(st.sampled_from(["Manual", "Automatic"]))},
        }
        if draw(st.booleans()):
            spec["readiness"] = {"tcp": {"port": 22, "address": f"10.0.0.{number}"}}
        documents.append(resource("VirtualMachine", f"vm-{number}", spec))
    return documents


@slow
@given(fleets(), fleets(), st.integers(1, 3))
def test_no_more_are_interrupted_than_may_be(
    before: list[dict[str, Any]], after: list[dict[str, Any]], most: int
) -> None:
    with served() as cluster:
        converge(cluster, desired_of(before), allow=ALLOW)
        limit = (InterruptionLimit(DeletionLimit(most)),)
        plan = plan_of(cluster, desired_of(after), allow=ALLOW, max_interrupted=limit)
        assert not plan.problems
        watcher = Watcher(plan)
        options = Options(parallel=8, timeout=20, grace=1)
        services = Services(hesitant=True)
        report = apply(plan, cluster, options=options, on_start=watcher.start, on_outcome=watcher.end, prober=services)
        assert report.ok
        waited_for = {str(each) for step in plan.runnable for each in step.readiness}
        assert waited_for | set(map(str, plan.ready_first)) == set(services.asked)
        assert all(len(seen) <= most or seen in watcher.together for seen in watcher.seen)
        assert not plan_of(cluster, desired_of(after), allow=ALLOW).steps
