"""A resource under another name, for every kind: refused with the line that keeps it, or made so that it converges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from reconciler import LocalCluster, Plan, apply
from reconciler.model.kinds import DISK_SNAPSHOT, KINDS, MACHINE, NETWORK, POOL, SNAPSHOT
from reconciler.model.resource import ResourceId
from reconciler.planner.explanation import explain_note
from support.scenario import OPTIONS, converge, desired_of, plan_of, served
from support.yaml_text import documents_in, text_of

EVERYTHING = frozenset({"interrupt", "restart", "recreate", "data"})
STACK = """
apiVersion: gitops.doslab.io/v1alpha1
kind: Stack
metadata: {name: shop}
spec: {defaults: {nodeName: node22}}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {name: disks}
spec: {type: localfs, url: /var/lib/libvirt/disks}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {name: images}
spec: {type: localfs, content: vmdi, url: /var/lib/libvirt/images}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineNetwork
metadata: {name: front}
spec: {switch: {subnet: 10.1.1.0/24, gateway: 10.1.1.1, dhcp: 10.1.1.2}}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineNetwork
metadata: {name: lan-1}
spec: {bridge: {name: br-lan, nic: eth1}}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineNetwork
metadata: {name: members}
spec: {addresses: [10.1.1.9]}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {name: golden}
spec: {pool: disks, capacity: 10Gi, deletionPolicy: Delete}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDiskImage
metadata: {name: base-image}
spec: {pool: images, from: {disk: golden}, deletionPolicy: Delete}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineImage
metadata: {name: template}
spec: {pool: images, disk: golden, deletionPolicy: Delete}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {name: root}
spec: {pool: disks, capacity: 10Gi}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {name: data}
spec: {pool: disks, capacity: 10Gi}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachine
metadata: {name: web-1}
spec:
  osVariant: debian12
  cpu: {count: 1}
  memory: {size: 1Gi}
  disks: [{target: vda, disk: root, boot: true}, {target: vdb, disk: data}]
  nics: [{mac: "52:54:00:00:00:01", type: l3bridge, source: br-int, network: front, ip: 10.1.1.9}]
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineSnapshot
metadata: {name: web-1-before}
spec: {virtualMachine: web-1, disks: [{target: vda}], deletionPolicy: Delete}
"""
OTHERS = """
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {name: other-root}
spec: {pool: disks, capacity: 10Gi}
"""

Documents = list[dict[str, Any]]


def documents(*texts: str) -> Documents:
    return [each for text in (STACK, *texts) for each in documents_in(text)]


def renamed(given: Documents, kind: str, old: str, new: str, moved_from: bool = False) -> Documents:
    """The documents with another name for one of them, also where others refer to it."""
    text = text_of(given, width=200)
    left = documents_in(text)
    for document in left:
        if (document["kind"], document["metadata"]["name"]) == (kind, old):
            document["metadata"] = {"name": new, **({"movedFrom": old} if moved_from else {})}
        else:
            document["spec"] = replaced(document["spec"], old, new)
    return left


def replaced(value: Any, old: str, new: str) -> Any:
    if isinstance(value, dict):
        return {name: replaced(each, old, new) for name, each in value.items()}
    if isinstance(value, list):
        return [replaced(each, old, new) for each in value]
    return new if value == old else value


CASES = [
    (POOL, "disks"),
    (NETWORK, "front"),
    (NETWORK, "lan-1"),
    (NETWORK, "members"),
    ("VirtualMachineDisk", "golden"),
    ("VirtualMachineDisk", "root"),
    ("VirtualMachineDiskImage", "base-image"),
    ("VirtualMachineImage", "template"),
    (MACHINE, "web-1"),
    (SNAPSHOT, "web-1-before"),
]


def test_every_kind_has_a_case() -> None:
    # Two snapshots of a disk are never the same; that of a machine stands for both.
    assert {kind for kind, _ in CASES} == KINDS.keys() - {DISK_SNAPSHOT}


@pytest.fixture
def cluster() -> Iterator[LocalCluster]:
    with served() as cluster:
        converge(cluster, desired_of(documents()), allow=EVERYTHING)
        yield cluster


def texts(made: Plan) -> str:
    """What the problems and notes of a plan say."""
    problems = [f"{problem.message} {problem.remedy}" for problem in made.problems]
    return "\n".join([*problems, *map(explain_note, made.notes)])


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_a_rename_is_refused_with_the_line_that_keeps_it_or_converges(
    cluster: LocalCluster, kind: str, name: str
) -> None:
    desired = desired_of(renamed(documents(), kind, name, f"{name}-new"))
    made = plan_of(cluster, desired, prune=True, allow=EVERYTHING)
    if made.problems:
        # Where the new resource alone could be, what was made of the old one cannot be made of it: a note has the line.
        assert f"movedFrom: {name}" in texts(made)
        kept = desired_of(renamed(documents(), kind, name, f"{name}-new", moved_from=True))
        made = plan_of(cluster, kept, prune=True, allow=EVERYTHING)
        assert (made.steps, made.problems) == ((), ())
        return
    assert made.problems == ()
    report = apply(made, cluster, options=OPTIONS)
    assert report.ok, [outcome for outcome in report.outcomes if outcome.message]
    again = plan_of(cluster, desired, prune=True, allow=EVERYTHING)
    assert (again.steps, again.problems) == ((), ())


@pytest.mark.parametrize(
    ("kind", "name", "shared"),
    [
        (MACHINE, "web-1", "the MAC 52:54:00:00:00:01 and the disk root"),
        (POOL, "disks", "the place /var/lib/libvirt/disks on node22"),
        (NETWORK, "lan-1", "the bridge br-lan on node22"),
    ],
)
@pytest.mark.parametrize("prune", [True, False])
def test_what_cannot_exist_twice_is_refused_and_says_why(
    cluster: LocalCluster, kind: str, name: str, shared: str, prune: bool
) -> None:
    desired = desired_of(renamed(documents(), kind, name, f"{name}-new"))
    made = plan_of(cluster, desired, prune=prune, allow=EVERYTHING)
    (problem,) = [each for each in made.problems if each.id is not None and each.id.kind == kind]
    assert set(problem.message.split(" has ")[1].split(" of ")[0].split(" and ")) == set(shared.split(" and "))
    assert f"add to its metadata: movedFrom: {name}." in problem.remedy
    assert problem.path == "metadata.name"


def successor(disk: str) -> Documents:
    """The stack in which another machine, with another MAC and a disk of its own, takes over one of web-1's."""
    left = [each for each in documents(OTHERS) if each["kind"] != SNAPSHOT]
    for document in left:
        if document["kind"] == MACHINE:
            document["metadata"]["name"] = "web-2"
            document["spec"]["disks"] = [{"target": "vda", "disk": "other-root", "boot": True}]
            document["spec"]["disks"] += [{"target": "vdb", "disk": disk}]
            document["spec"]["nics"][0]["mac"] = "52:54:00:00:00:02"
    return left


@pytest.mark.parametrize("disk", ["root", "data"])
def test_what_another_machine_takes_over_is_freed_first(cluster: LocalCluster, disk: str) -> None:
    desired = desired_of(successor(disk))
    made = plan_of(cluster, desired, prune=True, allow=EVERYTHING)
    assert made.problems == ()
    numbers = {step.operation: number for number, wave in enumerate(made.waves) for step in wave}
    assert numbers["DeleteVM"] < numbers["CreateAndStartVMFromISO"], "both had the address"
    report = apply(made, cluster, options=OPTIONS)
    assert report.ok, [outcome for outcome in report.outcomes if outcome.message]
    assert plan_of(cluster, desired, prune=True, allow=EVERYTHING).steps == ()


def test_what_another_machine_takes_over_is_refused_while_the_old_one_stays(cluster: LocalCluster) -> None:
    made = plan_of(cluster, desired_of(successor("data")), allow=EVERYTHING)
    assert "VirtualMachine/web-2 takes the" in texts(made)
    assert "of VirtualMachine/web-1, which is no longer described" in texts(made)


def test_what_waits_for_a_deletion_that_is_held_is_held_as_well(cluster: LocalCluster) -> None:
    made = plan_of(cluster, desired_of(successor("data")), prune=True)
    held = {step.operation for step in made.held}
    assert {"StopVM", "DeleteVM", "CreateAndStartVMFromISO"} <= held


def test_a_disk_of_a_machine_that_goes_moves_to_one_that_stays(cluster: LocalCluster) -> None:
    second = [
        {**each, "metadata": {"name": "web-2"}, "spec": {**each["spec"], "disks": disks, "nics": nics}}
        for each in documents()
        if each["kind"] == MACHINE
        for disks in [[{"target": "vda", "disk": "other-root", "boot": True}]]
        for nics in [[{"mac": "52:54:00:00:00:02", "type": "bridge", "source": "virbr0"}]]
    ]
    converge(cluster, desired_of(documents(OTHERS) + second), allow=EVERYTHING)
    left = [each for each in documents(OTHERS) if each["kind"] not in (MACHINE, SNAPSHOT)]
    second[0]["spec"]["disks"].append({"target": "vdb", "disk": "data"})
    desired = desired_of(left + second)
    made = plan_of(cluster, desired, prune=True, allow=EVERYTHING)
    assert made.problems == ()
    report = apply(made, cluster, options=OPTIONS)
    assert report.ok, [outcome for outcome in report.outcomes if outcome.message]
    assert plan_of(cluster, desired, prune=True, allow=EVERYTHING).steps == ()


def test_a_renamed_machine_is_targeted_and_allowed_by_its_new_name(cluster: LocalCluster) -> None:
    converge(cluster, desired_of(documents()), allow=EVERYTHING)
    renamed = documents()
    machine = next(each for each in renamed if each["kind"] == MACHINE)
    name = machine["metadata"]["name"]
    machine["metadata"] = {"name": "renamed-1", "movedFrom": name}
    machine["spec"]["powerState"] = "Paused"
    for each in renamed:
        if each["kind"] == SNAPSHOT:
            each["spec"]["virtualMachine"] = "renamed-1"
    desired, new = desired_of(renamed), ResourceId(MACHINE, "renamed-1")
    held = plan_of(cluster, desired, targets=frozenset({new}))
    assert {(step.operation, step.resource, step.held_by) for step in held.steps} == {
        ("SuspendVM", ResourceId(MACHINE, name), "interrupt")
    }
    (step,) = plan_of(cluster, desired, allow=frozenset({f"interrupt:{new}"})).steps
    assert step.held_by == ""
