"""What killed runs and agents leave is found where it is, and mended as the next apply would."""

from __future__ import annotations

from reconciler.apply import retry_on_conflict
from reconciler.apply.leftover import leftovers, mend
from reconciler.apply.recovery import recover
from reconciler.model.kinds import NETWORK, POOL
from reconciler.model.problem import OperationFailed
from reconciler.model.resource import Resource, ResourceId
from reconciler.model.wire import ANNOTATION_APPLIED, CLAIM, LABEL_STACK
from support.paths import QUICKSTART
from support.scenario import converge, desired_of
from support.staged import Stage, kill_after, staged

WEB_NET = ResourceId(NETWORK, "web-net")
QUICK = (QUICKSTART / "quickstart.yaml").read_text() + (
    "---\napiVersion: gitops.doslab.io/v1alpha1\nkind: Stack\nmetadata: {name: quickstart}\n"
)


def leave_unnoted(stage: Stage) -> None:
    """A run is killed after its submission, and the operation fails: what was noted along with it does not hold."""
    converge(stage.cluster, desired_of(QUICKSTART))
    assert leftovers(stage.cluster) == []
    stage.driver.failing["ModifySwitch"] = OperationFailed("Exception", "no")
    assert QUICK.count("mtu: 1500") == 1
    kill_after(stage, "update", NETWORK, QUICK.replace("mtu: 1500", "mtu: 1400"))


def test_what_a_killed_run_did_not_note_is_noted() -> None:
    with staged() as stage:
        leave_unnoted(stage)
        (found,) = leftovers(stage.cluster)
        assert found.record == str(WEB_NET)
        assert "a run of stack quickstart did not note" in found.message
        assert found.remedy
        before = stage.cluster.get(WEB_NET)
        (mended,) = mend(stage.cluster, "doctor")
        assert mended.remedy
        after = stage.cluster.get(WEB_NET)
        assert before is not None
        assert after is not None
        for each in (before, after):
            del each["metadata"]["resourceVersion"]
        assert before["metadata"]["annotations"].pop(ANNOTATION_APPLIED) != (
            after["metadata"]["annotations"].pop(ANNOTATION_APPLIED)
        )
        assert before == after
        assert leftovers(stage.cluster) == mend(stage.cluster, "doctor") == []


def test_what_a_run_still_does_is_left_to_it() -> None:
    with staged() as stage:
        leave_unnoted(stage)
        with stage.cluster.lease("stack quickstart", "somebody"):
            (left,) = mend(stage.cluster, "doctor", wait=0.0)
        assert left.remedy == ""
        assert "has its lock" in left.advice
        assert leftovers(stage.cluster)
        recover(stage.cluster, "quickstart")
        assert leftovers(stage.cluster) == []


def claimed(network: Resource) -> Resource:
    return {**network, "spec": {**network["spec"], "nodeName": "node23", CLAIM: "modifySwitch"}}


def test_an_operation_whose_agent_is_gone_is_named_and_left() -> None:
    with staged() as stage:
        converge(stage.cluster, desired_of(QUICKSTART))
        retry_on_conflict(stage.cluster, WEB_NET, claimed)
        for found in (leftovers(stage.cluster), mend(stage.cluster, "doctor")):
            assert [each[:3] for each in found] == [
                (str(WEB_NET), "ModifySwitch was begun by an agent of node node23 that is gone", "")
            ]


def test_what_belongs_to_a_stack_that_nobody_knows_is_named_and_left() -> None:
    with staged() as stage:
        converge(stage.cluster, desired_of(QUICKSTART))
        stage.cluster.create(
            {
                "apiVersion": "doslab.io/v1",
                "kind": POOL,
                "metadata": {"name": "restored", "namespace": "default", "labels": {LABEL_STACK: "old"}},
                "spec": {"nodeName": "node22", "pool": {"state": "active"}},
            }
        )
        for found in (leftovers(stage.cluster), mend(stage.cluster, "doctor")):
            (each,) = found
            assert each.record == f"{POOL}/restored"
            assert "stack old, of which nothing is recorded here" in each.message
            assert "reconcile release --all --stack old" in each.advice
