"""A validator that is asked again and again answers as a new one would."""

from __future__ import annotations

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


def test_a_manifest_that_goes_as_the_defaults_change_is_not_desired_any_more() -> None:
    validator = Validator()
    assert len(validator.examine(load_texts({"pool.yaml": POOL})).desired.resources) == 1
    assert validator.examine(load_texts({"reconcile.yaml": STACK})).desired.resources == {}
