"""A validator that is asked again and again answers as a new one would."""

from __future__ import annotations

import pytest

from reconciler.manifests.loader import load_texts
from reconciler.manifests.validator import Validator

POOL = """apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {name: vmd-pool}
spec: {nodeName: node1, type: localfs, url: /var/lib/libvirt/vmd}
"""
STACK = """apiVersion: gitops.doslab.io/v1alpha1
kind: Stack
metadata: {name: shop}
spec: {defaults: {nodeName: node1}}
"""


POLICY = """apiVersion: gitops.doslab.io/v1alpha1
kind: Stack
metadata: {name: shop}
spec:
  policy: {allow: [data, "data:VirtualMachine/wob-1"], maxInterrupted: [{max: 2, selector: {matchLabels: {a: b}}}]}
"""


def test_what_the_policy_of_a_stack_names_is_a_warning_where_nothing_has_it() -> None:
    machine = MACHINE.replace("source: br-lan", "source: br-int")
    validator = Validator()
    texts = {"reconcile.yaml": POLICY, "machine.yaml": machine, "networks.yaml": NETWORKS}
    assert [(each.path, each.origin.line) for each in validator.examine(load_texts(texts)).desired.warnings] == [
        ("spec.policy.allow[1]", 5),
        ("spec.policy.maxInterrupted[0].selector.matchLabels", 5),
    ]
    texts["machine.yaml"] = machine.replace("name: web-1", "name: wob-1, labels: {a: b, c: d}")
    assert validator.examine(load_texts(texts)).desired.warnings == []
    texts["machine.yaml"] = machine.replace("name: web-1", "name: web-1, movedFrom: wob-1, labels: {a: b}")
    assert validator.examine(load_texts(texts)).desired.warnings == []
    texts["machine.yaml"] = machine.replace("count: 1", "count: one")  # who knows what it is called when it is right
    assert validator.examine(load_texts(texts)).desired.warnings == []


NETWORKS = """apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineNetwork
metadata: {name: web-net}
spec: {nodeName: node1, switch: {subnet: 192.168.5.0/24, gateway: 192.168.5.1}}
"""
BRIDGE = """apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachineNetwork
metadata: {name: lan-net}
spec: {nodeName: node1, bridge: {name: br-lan, nic: eth1}}
"""
MACHINE = """apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachine
metadata: {name: web-1}
spec:
  nodeName: node1
  osVariant: debian12
  cpu: {count: 1}
  memory: {size: 1Gi}
  disks: [{target: vda, disk: root-1}]
  nics: [{mac: "52:54:00:00:00:01", type: l3bridge, source: br-lan, network: web-net}]
"""


@pytest.mark.parametrize("last", ["bridge.yaml", "machine.yaml"])
def test_a_nic_on_the_bridge_of_a_network_is_found_whichever_comes_last(last: str) -> None:
    texts = {"networks.yaml": NETWORKS, "bridge.yaml": BRIDGE, "machine.yaml": MACHINE}
    before = {name: text for name, text in texts.items() if name != last}
    validator = Validator()
    assert validator.examine(load_texts(before)).problems == []
    (problem,) = validator.examine(load_texts(texts)).problems
    assert problem.path == "spec.nics[0].type"
    assert validator.examine(load_texts(before)).problems == []


def test_who_lacks_a_node_is_known_once_the_default_is_right() -> None:
    pool, wrong = POOL.replace("nodeName: node1, ", ""), STACK.replace("nodeName: node1", "nodeName: [a]")
    validator = Validator()
    for stack, path in ((wrong, "spec.defaults.nodeName"), (STACK.replace("nodeName: node1", ""), "spec.nodeName")):
        result = validator.examine(load_texts({"reconcile.yaml": stack, "pool.yaml": pool}))
        assert [problem.path for problem in result.problems] == [path]
        assert result.desired.resources == {}
    assert validator.examine(load_texts({"reconcile.yaml": STACK, "pool.yaml": pool})).problems == []


def test_a_manifest_that_goes_as_the_defaults_change_is_not_desired_any_more() -> None:
    validator = Validator()
    assert len(validator.examine(load_texts({"pool.yaml": POOL})).desired.resources) == 1
    assert validator.examine(load_texts({"reconcile.yaml": STACK})).desired.resources == {}
