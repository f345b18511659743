"""What a step changes in the note of what was last applied can be taken back by what the journal has of it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciler import LocalCluster, Options, Policy, apply, plan
from reconciler.agent.embedded import serving, simulators
from reconciler.apply.annotations import annotations_of, recovered, undo_of
from reconciler.model.journal import StepStarted, read_journal
from reconciler.model.kinds import MACHINE
from reconciler.model.path import merge_patch
from reconciler.model.resource import ResourceId
from support.scenario import converge, desired_of

names = st.sampled_from("abc")
scalars = st.integers(0, 2) | st.booleans() | st.just("x") | st.lists(st.integers(0, 1), max_size=2)
notes = st.recursive(scalars, lambda below: st.dictionaries(names, below, max_size=3), max_leaves=8)
patches = st.recursive(scalars | st.none(), lambda below: st.dictionaries(names, below, max_size=3), max_leaves=8)


def without_empty(value: Any) -> Any:
    """Mappings without those that are empty: nobody tells them from what is not there."""
    if not isinstance(value, dict):
        return value
    kept = {name: without_empty(each) for name, each in value.items()}
    return {name: each for name, each in kept.items() if each != {}}


@given(st.dictionaries(names, notes, max_size=3), st.dictionaries(names, patches, max_size=3))
def test_what_is_merged_is_taken_back(before: dict[str, Any], fields: dict[str, Any]) -> None:
    after = merge_patch(before, fields)
    assert without_empty(merge_patch(after, undo_of(before, fields))) == without_empty(before)


FILTERS = 250
SHOP = """\
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {name: disks}
spec: {nodeName: node22, type: localfs, url: /var/lib/libvirt/disks, state: Active}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineDisk
metadata: {name: web-1-root}
spec: {nodeName: node22, pool: disks, capacity: 1Gi}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineNetwork
metadata: {name: web-net}
spec: {nodeName: node22, switch: {subnet: 192.168.5.0/24, gateway: 192.168.5.1}}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachine
metadata: {name: web-1}
spec:
  nodeName: node22
  osVariant: debian12
  cpu: {count: 1}
  memory: {size: 1Gi}
  disks: [{target: vda, disk: web-1-root}]
  nics:
  - mac: "52:54:00:00:00:01"
    type: l3bridge
    source: br-int
    network: web-net
    acls: [%s]
"""
RULE = '{direction: from, match: "ip4.dst == 10.0.%d.%d", action: drop, priority: %d}'


def rules(count: int) -> str:
    return SHOP % ", ".join(RULE % (number // 250, number % 250, 1000 + number) for number in range(count))


def test_entries_do_not_grow_with_the_rules_of_a_machine() -> None:
    with LocalCluster(":memory:") as cluster, serving(cluster, simulators(cluster)):
        converge(cluster, desired_of(rules(FILTERS)))
        id = ResourceId(MACHINE, "web-1")
        before = cluster.get(id)
        assert before is not None
        made = plan(desired_of(rules(FILTERS + 1)), cluster, Policy(allow=frozenset({"interrupt"})))
        assert [step.operation for step in made.steps] == ["AddACL"]
        apply(made, cluster, options=Options())
        entries = cluster.records("default")[-4:]
        assert max(len(json.dumps(entry)) for entry in entries) < 2000
        assert len(json.dumps(annotations_of(before))) > 20_000
        (started,) = [each for each in read_journal(entries) if isinstance(each, StepStarted)]
        assert started.recovery is not None
        after = cluster.get(id)
        assert after is not None
        assert annotations_of(after) != annotations_of(before)
        assert annotations_of(recovered(after, started.recovery)) == annotations_of(before)
