"""What waits for the next start of a guest: seen until then, taken back before then, and forgotten after it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from reconciler import LocalCluster
from reconciler.model.resource import ResourceId
from reconciler.observe.observed import observe
from reconciler.output.describe import Description, description_text
from reconciler.planner.configuration import waiting
from reconciler.planner.explanation import describe, explain, explain_note
from support.scenario import converge, desired_of, plan_of, served

WEB = ResourceId("VirtualMachine", "web-1")
PLAIN = "graphics: {type: vnc}"
FIRST, SECOND = (f"graphics: {{type: vnc, passwordFrom: {{env: {name}}}}}" for name in ("FIRST", "SECOND"))
SHOP = """
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
kind: VirtualMachineDisk
metadata: {name: web-1-root}
spec: {pool: disks, capacity: 1Gi}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachine
metadata: {name: web-1}
spec:
  powerState: Running
  osVariant: debian12
  cpu: {count: 1}
  memory: {size: 2Gi}
  disks: [{target: vda, disk: web-1-root, boot: true}]
  nics: [{mac: "52:54:00:00:00:01", type: bridge, source: virbr0}]
  graphics: {type: vnc}
"""


class Shop:
    def __init__(self, cluster: LocalCluster) -> None:
        self.cluster = cluster

    def applied(self, **changes: str) -> list[str]:
        """Apply the stack with these lines in it, which leaves nothing to do; returns the operations it took."""
        text = SHOP
        for old, new in (("powerState: Running", changes.get("power")), (PLAIN, changes.get("console"))):
            text = text.replace(old, new or old)
        text = text.replace("memory: {size: 2Gi}", changes.get("memory", "memory: {size: 2Gi}"))
        report = converge(self.cluster, desired_of(text), allow=frozenset({"interrupt", "restart"}))
        again = plan_of(self.cluster, desired_of(text), allow=frozenset({"interrupt", "restart"}))
        assert again.steps == ()
        assert [explain_note(note) for note in again.notes] == (
            [f"pending restart: {'; '.join(left)}"] if (left := self.waits()) else []
        )
        return [outcome.step.operation for outcome in report.outcomes]

    def waits(self) -> list[str]:
        seen = observe(self.cluster).get(WEB)
        assert seen is not None
        left = [describe(WEB.kind, move) for move in waiting(seen.shape, seen.pending)]
        assert ("pending restart" in description_text(Description(seen, []))) is bool(left)
        return left


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setenv("FIRST", "staple-8")
    monkeypatch.setenv("SECOND", "horse-12")
    with served() as cluster:
        shop = Shop(cluster)
        shop.applied()
        yield shop


def test_a_password_waits_until_the_guest_starts_anew(shop: Shop) -> None:
    assert shop.applied(console=FIRST) == ["SetVncPassword"]
    assert shop.waits() == ["graphics.passwordFrom nothing -> a secret"]
    shop.applied(console=FIRST, power="powerState: Stopped")
    shop.applied(console=FIRST)
    assert shop.waits() == []
    assert shop.applied(console=SECOND) == ["SetVncPassword"], "it asks for one now, and takes another one at once"
    assert shop.waits() == []


def test_a_password_that_goes_waits_too(shop: Shop) -> None:
    shop.applied(console=FIRST, power="powerState: Stopped")
    shop.applied(console=FIRST)
    assert shop.applied() == ["UnsetVncPassword"]
    assert shop.waits() == ["graphics.passwordFrom another value -> nothing"]
    assert shop.applied(console=SECOND) == ["SetVncPassword"]
    assert shop.waits() == [], "the console never stopped asking"


def test_a_password_that_is_taken_back_before_the_start_leaves_nothing_waiting(shop: Shop) -> None:
    shop.applied(console=FIRST)
    assert shop.applied() == ["UnsetVncPassword"]
    assert shop.waits() == []


def test_what_changes_at_once_does_not_wait_any_longer(shop: Shop) -> None:
    assert shop.applied(memory="memory: {size: 4Gi, max: 8Gi}") == ["ResizeMaxRAM", "ResizeRAM"]
    assert shop.waits() == ["memory.max 2Gi -> 8Gi", "memory.size 2Gi -> 4Gi"]
    assert shop.applied(memory="memory: {size: 1Gi, max: 8Gi}") == ["ResizeRAM"]
    assert shop.waits() == ["memory.max 2Gi -> 8Gi"]


def test_a_disk_that_waits_is_told_as_it_is_declared_before_and_after_it_is_written() -> None:
    text = SHOP.replace("target: vda", "target: vdc")
    automatic = text.replace("graphics:", "updatePolicy: {restart: Automatic}\n  graphics:")
    with served() as cluster:
        converge(cluster, desired_of(SHOP))
        told = ["disks[vda] is no longer declared", "disks[vdc] new: disk web-1-root"]
        (note,) = plan_of(cluster, desired_of(text)).notes
        assert all(each in explain_note(note) for each in told)
        converge(cluster, desired_of(text))
        (note,) = plan_of(cluster, desired_of(text)).notes
        assert sorted(explain_note(note).removeprefix("pending restart: ").split("; "))[-2:] == told
        restart = plan_of(cluster, desired_of(automatic)).steps
        assert [step.operation for step in restart] == ["StopVM", "StartVM"]
        assert all(sorted(explain(step).removeprefix("restart for ").split("; "))[-2:] == told for step in restart)


def test_what_waits_of_a_disk_that_moved_is_what_manifests_say_of_it() -> None:
    limited = SHOP.replace("disk: web-1-root", "disk: web-1-root, qos: {readIops: 400}")
    with served() as cluster:
        for target in ("vda", "vdb"):
            converge(cluster, desired_of(limited.replace("vda", target)))
        (note,) = plan_of(cluster, desired_of(limited.replace("vda", "vdb"))).notes
    assert explain_note(note) == (
        "pending restart: disks[vda] is no longer declared; disks[vdb] new: qos.readIops 400, disk web-1-root"
    )
