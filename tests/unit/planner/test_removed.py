"""What follows when a field is removed from a manifest, for every optional field; and which defaults are kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from reconciler import LocalCluster, Plan, apply
from reconciler.agent.embedded import simulators
from reconciler.manifests import schema
from reconciler.model.fields import FIELDS
from reconciler.model.fields.field import Field, Removal
from reconciler.model.kinds import MACHINE
from reconciler.model.resource import ResourceId
from reconciler.model.wire import ANNOTATION_APPLIED
from reconciler.observe.observed import observe
from reconciler.output.explain import explain as explain_field
from reconciler.output.explain import explanation_text
from reconciler.planner.explanation import explain_note
from reconciler.planner.plan import Action, NoteKind
from support.full_stack import SECRETS, documents, without
from support.scenario import OPTIONS, converge, desired_of, plan_of, served
from support.services import ANSWERING

EVERYTHING = frozenset({"interrupt", "restart", "recreate", "data"})
ROWS = [(kind, row) for kind, rows in FIELDS.items() for row in rows]
WEB = ResourceId(MACHINE, "web-1")


def required(kind: str) -> set[str]:
    """The fields that the schema asks for where the mapping they are in is given."""
    root, found = schema.schema(kind), set[str]()

    def below(fragment: dict[str, Any], path: tuple[str, ...]) -> None:
        if "$ref" in fragment:
            fragment = root["$defs"][fragment["$ref"].rpartition("/")[2]]
        found.update(".".join((*path, name)) for name in fragment.get("required", ()))
        for name, each in fragment.get("properties", {}).items():
            below(each, (*path, name))
        if "items" in fragment:
            below(fragment["items"], (*path, "*"))

    below(root["properties"]["spec"], ())
    return found


# Removing one of these is not valid, or not without another one in its place: a resource has a node, a network is one
# of three things, a readiness one of three, a disk comes from one of two or has a size, a machine's disk is one of two,
# a pool that is not local has options, and a NIC of type l3bridge a network.
NEVER_REMOVED = {
    *("nodeName", "switch", "bridge", "addresses", "options", "nics.*.network"),
    *(
        "readiness.tcp",
        "readiness.http",
        "readiness.guestAgent",
        "from.image",
        "from.disk",
        "cloudInit",
        "cloudInit.userDataFrom",
        "cloudInit.userData",
        "disks.*.disk",
        "disks.*.block",
    ),
}


def optional(*removals: Removal) -> Any:
    rows = [(kind, row) for kind, row in ROWS if not removals or row.removed in removals]
    return pytest.mark.parametrize(("kind", "row"), rows, ids=[f"{kind}.{row.name}" for kind, row in rows])


@pytest.mark.parametrize("kind", FIELDS)
def test_each_optional_field_says_what_removal_does_and_no_other_does(kind: str) -> None:
    asked = required(kind) | NEVER_REMOVED
    assert {row.name for row in FIELDS[kind] if row.removed is Removal.REFUSED} == {
        row.name for row in FIELDS[kind] if row.name in asked
    }


@optional()
def test_a_row_has_what_its_removal_needs_and_explain_says_it(kind: str, row: Field) -> None:
    assert (row.removed is Removal.STAYS) == bool(row.to_remove)
    assert (row.reset is None) == (row.removed is not Removal.RESET)
    text = explanation_text(explain_field(f"{kind}.{row.name.replace('.*', '')}"))
    assert ("\n  When removed: " in text) == (row.removed is not Removal.REFUSED)


# Removed ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """A cluster with the full stack, applied."""
    with pytest.MonkeyPatch.context() as patch, served() as cluster:
        for name, value in SECRETS.items():
            patch.setenv(name, value)
        for _ in range(2):
            apply(
                plan_of(cluster, desired_of(documents()), allow=EVERYTHING), cluster, options=OPTIONS, prober=ANSWERING
            )
        made = plan_of(cluster, desired_of(documents()), allow=EVERYTHING)
        assert (made.steps, made.problems) == ((), ())
        assert staying(made) == []
        yield cluster


def staying(made: Plan) -> list[str]:
    return [explain_note(note) for note in made.notes if note.kind is NoteKind.STAYS]


def operations(made: Plan) -> list[str]:
    return [step.operation for step in made.steps if step.action is not Action.MARK]


def all_below_stays(kind: str, row: Field) -> bool:
    """Whether a mapping has nothing in it that is taken back."""
    below = [each for each in FIELDS[kind] if each.path[:-1] == row.path]
    return row.removed is Removal.BELOW and all(each.removed is Removal.STAYS for each in below)


@optional(Removal.RESET, Removal.UNDONE, Removal.BELOW)
def test_what_can_be_taken_back_is_taken_back(cluster: LocalCluster, kind: str, row: Field) -> None:
    shorter = without(kind, row.path)
    assert shorter is not None
    made = plan_of(cluster, shorter, allow=EVERYTHING)
    if all_below_stays(kind, row):
        assert (operations(made), bool(staying(made))) == ([], True)
        return
    if row.label:
        assert operations(made) == [], "the full stack has none: a golden plan of uni-virt takes the label off"
        return
    assert operations(made)
    assert {step.resource.kind for step in made.steps} == {kind}
    try:
        report = apply(made, cluster, options=OPTIONS, prober=ANSWERING)
        assert report.ok, [outcome for outcome in report.outcomes if outcome.message]
        again = plan_of(cluster, shorter, allow=EVERYTHING)
        assert (again.steps, again.problems, staying(again)) == ((), (), [])
    finally:
        converge(cluster, desired_of(documents()), allow=EVERYTHING)


@optional(Removal.STAYS)
def test_what_cannot_be_taken_back_is_noted_with_what_to_do(cluster: LocalCluster, kind: str, row: Field) -> None:
    shorter = without(kind, row.path)
    assert shorter is not None
    made = plan_of(cluster, shorter, allow=EVERYTHING)
    assert (operations(made), made.problems) == ([], ())
    if row.default is not None or (kind, row.name) == (MACHINE, "uuid"):
        assert staying(made) == [], "the value is the default, or a machine has one anyway"
        return
    assert staying(made)
    for text in staying(made):
        assert row.path[-1] in text
        assert "though it is not declared" in text
        assert row.to_remove in text
        assert not any(secret in text for secret in SECRETS.values())


@optional(Removal.CREATION, Removal.INSTRUCTION)
def test_what_only_told_how_to_act_leaves_nothing_behind(cluster: LocalCluster, kind: str, row: Field) -> None:
    shorter = without(kind, row.path)
    assert shorter is not None
    made = plan_of(cluster, shorter, allow=EVERYTHING)
    assert (operations(made), made.problems, staying(made)) == ([], (), [])


# Ours and others' ------------------------------------------------------------------------------------------


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
metadata: {name: root}
spec: {pool: disks, capacity: 1Gi}
---
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachine
metadata: {name: web-1}
spec:
  osVariant: debian12
  cpu: {count: 1}
  memory: {size: 1Gi}
  disks: [{target: vda, disk: root}]
  nics: [{mac: "52:54:00:00:00:01", type: bridge, source: virbr0}]
"""
DATA = f"---{SHOP.split('---')[2].replace('root', 'data')}"
LIMITED = SHOP.replace("disk: root}", "disk: root, qos: {readIops: 400}}")


def by_hand(cluster: LocalCluster, operation: str, **parameters: object) -> None:
    """An operation that nobody planned, and another look at the machine."""
    driver = simulators(cluster)("node22")
    driver.run(WEB, operation, parameters)
    resource = cluster.get(WEB)
    assert resource is not None
    cluster.update({**resource, "spec": {**resource["spec"], **(driver.observe(WEB) or {})}})


def limit(cluster: LocalCluster) -> int:
    return int(observe(cluster).resources[WEB].shape["disks"]["vda"]["qos"]["readIops"])


def test_a_limit_that_somebody_else_set_is_left_alone() -> None:
    with served() as cluster:
        converge(cluster, desired_of(SHOP))
        by_hand(cluster, "TuneDiskQoS", device="vda", read_iops_sec="400", live=True, config=True)
        assert plan_of(cluster, desired_of(SHOP)).steps == ()
        assert limit(cluster) == 400


def test_a_limit_of_a_machine_that_is_taken_over_is_left_unless_its_manifest_declared_it() -> None:
    with served() as cluster:
        converge(cluster, desired_of(LIMITED))
        disowned(cluster)
        converge(cluster, desired_of(SHOP), adopt=True)
        assert limit(cluster) == 400, "it was not declared when it was taken over"
        disowned(cluster)
        converge(cluster, desired_of(LIMITED), adopt=True)
        converge(cluster, desired_of(SHOP))
        assert limit(cluster) == 0


def disowned(cluster: LocalCluster) -> None:
    """Remove all our marks from all resources."""
    for id in observe(cluster).resources:
        resource = cluster.get(id)
        assert resource is not None
        metadata = {name: each for name, each in resource["metadata"].items() if name not in ("labels", "annotations")}
        cluster.update({**resource, "metadata": metadata})


def test_losing_the_annotation_takes_nothing_back() -> None:
    with served() as cluster:
        converge(cluster, desired_of(LIMITED))
        resource = cluster.get(WEB)
        assert resource is not None
        resource["metadata"]["annotations"].pop(ANNOTATION_APPLIED)
        cluster.update(resource)
        assert operations(plan_of(cluster, desired_of(SHOP))) == []


def test_a_limit_that_was_taken_back_is_not_ours_any_longer() -> None:
    with served() as cluster:
        converge(cluster, desired_of(LIMITED))
        assert converge(cluster, desired_of(SHOP)).outcomes[0].step.operation == "TuneDiskQoS"
        assert limit(cluster) == 0
        by_hand(cluster, "TuneDiskQoS", device="vda", read_iops_sec="300", live=True, config=True)
        assert plan_of(cluster, desired_of(SHOP)).steps == ()


def test_the_fields_that_are_noted_are_removed_with_their_part() -> None:
    with served() as cluster:
        converge(
            cluster,
            desired_of(SHOP.replace("disk: root}", "disk: root}, {target: vdb, disk: data, cache: none}") + DATA),
        )
        assert "vdb" in observe(cluster).resources[WEB].applied["disks"]
        converge(cluster, desired_of(SHOP), allow=EVERYTHING)
        assert "vdb" not in observe(cluster).resources[WEB].applied.get("disks", {})


def test_a_part_that_is_replaced_comes_without_what_the_old_one_had() -> None:
    nic = "type: bridge, source: virbr0}"
    with served() as cluster:
        converge(cluster, desired_of(SHOP.replace(nic, "type: bridge, source: virbr0, qos: {inbound: 1Mi}}")))
        made = plan_of(cluster, desired_of(SHOP.replace(nic, "type: bridge, source: virbr1}")), allow=EVERYTHING)
        assert operations(made) == ["UnplugNIC", "PlugNIC"]
        assert "inbound" not in made.steps[-1].parameters


# Defaults --------------------------------------------------------------------------------------------------


DEFAULTS = [(kind, row) for kind, row in ROWS if row.default not in (None, "")]


@pytest.mark.parametrize(("kind", "row"), DEFAULTS, ids=[f"{kind}.{row.name}" for kind, row in DEFAULTS])
def test_a_default_is_kept_or_explain_says_that_it_holds_at_creation(kind: str, row: Field) -> None:
    text = explanation_text(explain_field(f"{kind}.{row.name.replace('.*', '')}"))
    kept = row.default_in_shape or not row.compared or row.removed is Removal.INSTRUCTION
    assert kept is not row.default_at_creation
    assert f"  Default at creation: {row.default}\n" in text or kept
    assert f"  Default: {row.default}\n" in text or row.default_at_creation


@pytest.mark.parametrize(
    ("operation", "healed"), [("StopVM", "StartVM"), ("StopVMForce", "StartVM"), ("SuspendVM", "ResumeVM")]
)
def test_a_machine_that_somebody_stops_is_started_unless_it_is_unmanaged(operation: str, healed: str) -> None:
    with served() as cluster:
        converge(cluster, desired_of(SHOP))
        by_hand(cluster, operation)
        assert operations(plan_of(cluster, desired_of(SHOP))) == [healed]
        left = desired_of(SHOP.replace("  osVariant", "  powerState: Unmanaged\n  osVariant"))
        assert operations(plan_of(cluster, left)) == []
        converge(cluster, desired_of(SHOP))
        assert observe(cluster).resources[WEB].shape["powerState"] == "Running"


def test_an_unmanaged_machine_is_started_once_when_it_is_created() -> None:
    unmanaged = desired_of(SHOP.replace("  osVariant", "  powerState: Unmanaged\n  osVariant"))
    with served() as cluster:
        converge(cluster, unmanaged)
        assert observe(cluster).resources[WEB].shape["powerState"] == "Running"
        by_hand(cluster, "StopVM")
        assert plan_of(cluster, unmanaged).steps == ()


def test_a_pool_that_somebody_stops_is_started() -> None:
    pool = SHOP.split("---")[0] + "---" + SHOP.split("---")[1]
    with served() as cluster:
        converge(cluster, desired_of(pool))
        driver, id = simulators(cluster)("node22"), ResourceId("VirtualMachinePool", "disks")
        driver.run(id, "StopPool", {"type": "localfs"})
        resource = cluster.get(id)
        assert resource is not None
        cluster.update({**resource, "spec": {**resource["spec"], **(driver.observe(id) or {})}})
        assert operations(plan_of(cluster, desired_of(pool))) == ["StartPool"]
