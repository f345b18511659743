"""A name of a resource that exists nowhere: every field that names one says so, and which name is nearest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from reconciler import LocalCluster
from reconciler.model.fields import FIELDS
from reconciler.model.kinds import MACHINE
from reconciler.model.nearest import NearestResources
from reconciler.model.path import values_at
from reconciler.model.resource import ResourceId, show_path
from support.scenario import converge, desired_of, plan_of, served

DOCUMENTS = """
- {kind: VirtualMachinePool, name: disks, type: localfs, url: /var/lib/libvirt/disks}
- {kind: VirtualMachinePool, name: images, type: localfs, url: /var/lib/libvirt/images, content: vmdi}
- {kind: VirtualMachineNetwork, name: web-net,
   switch: {subnet: 192.168.5.0/24, gateway: 192.168.5.1, dhcp: 192.168.5.2, bridge: br-ext}}
- {kind: VirtualMachineNetwork, name: ext-net, switch: {subnet: 10.10.0.0/24, gateway: 10.10.0.1, dhcp: 10.10.0.2}}
- {kind: VirtualMachineDisk, name: web-1-root, pool: disks, capacity: 10Gi}
- {kind: VirtualMachineDisk, name: base, pool: disks, capacity: 10Gi}
- {kind: VirtualMachineDisk, name: system, pool: disks, capacity: 10Gi}
- {kind: VirtualMachineDisk, name: copy, pool: disks, from: {disk: base}}
- {kind: VirtualMachineDiskImage, name: template, pool: images, from: {disk: base}}
- {kind: VirtualMachineDisk, name: made, pool: disks, from: {image: template}}
- {kind: VirtualMachineImage, name: golden, disk: system, pool: images}
- {kind: VirtualMachine, name: db-1, osVariant: debian12, cpu: {count: 1}, memory: {size: 1Gi}, from: {image: golden},
   disks: [{target: vda, disk: copy}], nics: [{mac: "52:54:00:00:00:02", type: bridge, source: virbr0}]}
- {kind: VirtualMachine, name: web-1, osVariant: debian12, cpu: {count: 1}, memory: {size: 1Gi},
   disks: [{target: vda, disk: web-1-root}],
   nics: [{mac: "52:54:00:00:00:01", type: l3bridge, source: br-int, network: web-net, ip: 192.168.5.7,
           floatingIP: {address: 10.10.0.9/24, externalNetwork: ext-net}}]}
- {kind: VirtualMachineDiskSnapshot, name: base-1, disk: base}
- {kind: VirtualMachineSnapshot, name: web-1-1, virtualMachine: web-1, disks: [{target: vda}]}
"""
ALL = frozenset({"interrupt", "restart", "recreate", "data"})


def documents() -> list[dict[str, Any]]:
    return [
        {
            "apiVersion": "gitops.doslab.io/v1alpha1",
            "kind": each.pop("kind"),
            "metadata": {"name": each.pop("name")},
            "spec": {"nodeName": "node22", **each},
        }
        for each in yaml.safe_load(DOCUMENTS)
    ]


REFERENCES = [
    (number, path)
    for number, document in enumerate(documents())
    for row in FIELDS[document["kind"]]
    if row.refers_to
    for path, _ in values_at(document["spec"], row.path)
]


def misspelt(number: int, path: tuple[str | int, ...]) -> list[dict[str, Any]]:
    """The documents, in one of which one name has an x at its end."""
    changed = documents()
    place: Any = changed[number]["spec"]
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] += "x"
    return changed


@pytest.fixture(scope="module")
def applied() -> Iterator[LocalCluster]:
    with served() as cluster:
        converge(cluster, desired_of(documents()))
        yield cluster


def name_of(reference: tuple[int, tuple[str | int, ...]]) -> str:
    document = documents()[reference[0]]
    return f"{document['kind']}/{document['metadata']['name']}-{show_path(reference[1])}"


@pytest.mark.parametrize("there", [False, True], ids=["to be created", "applied"])
@pytest.mark.parametrize("reference", REFERENCES, ids=name_of)
def test_a_misspelt_name_is_that_and_no_change(
    reference: tuple[int, tuple[str | int, ...]], there: bool, applied: LocalCluster
) -> None:
    with served() as empty:
        made = plan_of(applied if there else empty, desired_of(misspelt(*reference)), allow=ALL)
    (problem,) = made.problems
    assert problem.path == show_path(("spec", *reference[1]))
    assert "which is neither described nor on the cluster" in problem.message
    assert "Did you mean " in problem.remedy


def test_every_field_that_names_a_resource_is_tried() -> None:
    tried = {
        (documents()[number]["kind"], tuple("*" if isinstance(n, int) else n for n in p)) for number, p in REFERENCES
    }
    assert tried == {(kind, row.path) for kind, rows in FIELDS.items() for row in rows if row.refers_to}


def test_of_very_many_missing_names_the_first_have_suggestions() -> None:
    known = [ResourceId(MACHINE, f"machine-{number}") for number in range(50)]
    nearest = NearestResources(known)
    said = [nearest.did_you_mean(id._replace(name=f"{id.name}x")) for id in known]
    assert all(said[:20])
    assert not any(said[20:])
    assert nearest.did_you_mean(known[0]._replace(name="machine-0x")) == said[0]
