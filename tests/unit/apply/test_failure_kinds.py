"""A failed step says of which kind its error is, and which line of the manifests asked for it."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from reconciler import LocalCluster, Options, Report, Result, apply, serving
from reconciler.apply import ErrorKind, InvalidParameters, Outcome
from reconciler.apply.failure import kind_of
from reconciler.catalogue.operation import Impact
from reconciler.clusters.base import Cluster
from reconciler.clusters.composed import WrappedCluster
from reconciler.model.problem import (
    AlreadyExists,
    Busy,
    ClusterError,
    Conflict,
    Expired,
    Forbidden,
    NotFound,
    OperationFailed,
    Origin,
    ReconcilerError,
    StalePlan,
    Unavailable,
)
from reconciler.model.resource import Resource, ResourceId
from reconciler.model.secret import SecretMissing
from reconciler.output.report import outcome_text, report_json
from reconciler.planner.plan import Action, Reason, Step
from support.scenario import desired_of, plan_of

POOL = """\
apiVersion: gitops.doslab.io/v1alpha1
kind: VirtualMachinePool
metadata: {name: disks}
spec: {nodeName: node22, type: localfs, content: vmd, url: /var/lib/libvirt/disks, state: Active}
"""
ID = ResourceId("VirtualMachinePool", "disks")


class Refusing(WrappedCluster):
    """A cluster that makes no resources."""

    def __init__(self, under: Cluster, error: ReconcilerError) -> None:
        super().__init__(under)
        self.error = error

    def create(self, resource: Resource) -> Resource:
        raise self.error


def failure(report: Report) -> Outcome:
    (found,) = [outcome for outcome in report.outcomes if outcome.result is Result.FAILED]
    assert [outcome.error for outcome in report.outcomes if outcome is not found] == [None] * (len(report.outcomes) - 1)
    return found


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Forbidden("no"), ErrorKind.FORBIDDEN),
        (Unavailable("away"), ErrorKind.UNAVAILABLE),
        (ClusterError("full"), ErrorKind.CLUSTER_ERROR),
        (SecretMissing("none"), ErrorKind.SECRET_MISSING),
    ],
)
def test_what_the_cluster_refuses(error: ReconcilerError, kind: ErrorKind) -> None:
    with LocalCluster(":memory:") as cluster:
        report = apply(plan_of(cluster, desired_of(POOL)), Refusing(cluster, error), options=Options(attempts=1))
        assert failure(report).error is kind


def test_what_nobody_answers() -> None:
    with LocalCluster(":memory:") as cluster:
        seconds = count(0, 10)
        options = Options(timeout=15, grace=1)  # two turns of the clock, each a real wait of the watch
        plan = plan_of(cluster, desired_of(POOL))
        report = apply(plan, cluster, options=options, monotonic=lambda: float(next(seconds)))
        assert failure(report).error is ErrorKind.TIMEOUT


def test_what_the_driver_refuses_and_what_changed_since_it_was_planned() -> None:
    with LocalCluster(":memory:") as cluster, serving(cluster):
        second_in_its_folder = plan_of(cluster, desired_of(POOL.replace("name: disks", "name: other")))
        assert apply(plan_of(cluster, desired_of(POOL)), cluster).ok
        assert failure(apply(second_in_its_folder, cluster)).error is ErrorKind.OPERATION_FAILED
        stop = plan_of(cluster, desired_of(POOL.replace("Active", "Inactive")))
        cluster.delete(ID)
        assert failure(apply(stop, cluster)).error is ErrorKind.STALE_PLAN


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OperationFailed("LibvirtError", "no"), "OperationFailed"),
        (StalePlan("no"), "StalePlan"),
        (InvalidParameters("no"), "InvalidParameters"),
        (NotFound("no"), "NotFound"),
        (AlreadyExists("no"), "AlreadyExists"),
        (Conflict("no"), "Conflict"),
        (Busy("no"), "Busy"),
        (Expired("no"), "ClusterError"),
        (ReconcilerError("no"), "Error"),
    ],
)
def test_every_error_has_a_kind(error: ReconcilerError, kind: str) -> None:
    assert kind_of(error) == kind


STEP = Step(
    "s1",
    Action.CREATE,
    "CreatePool",
    ID,
    ID,
    "node22",
    {},
    Reason.NOT_ON_CLUSTER,
    Impact.NONE,
    place=Origin("shop/pool.yaml", 3, 1),
)


def test_a_failed_step_names_its_kind_and_the_line_that_asked_for_it() -> None:
    failed = Outcome(STEP, Result.FAILED, "no such folder", 1.25, ErrorKind.OPERATION_FAILED)
    assert outcome_text(failed) == (
        "failed      CreatePool VirtualMachinePool/disks (1.2 s): no such folder (asked for at shop/pool.yaml:3:1)"
    )
    (told,) = report_json(Report([failed]))["outcomes"]
    assert told["errorKind"] == "OperationFailed"
    assert told["origin"] == {"file": "shop/pool.yaml", "line": 3, "column": 1}


def test_other_steps_name_neither() -> None:
    created = Outcome(STEP, Result.CREATED, "", 1.25)
    assert outcome_text(created) == "created     CreatePool VirtualMachinePool/disks (1.2 s)"
    unasked = Outcome(replace(STEP, place=None), Result.FAILED, "no", 0.0, ErrorKind.FORBIDDEN)
    assert outcome_text(unasked) == "failed      CreatePool VirtualMachinePool/disks: no"
    created_json, unasked_json = report_json(Report([created, unasked]))["outcomes"]
    assert (created_json["errorKind"], unasked_json["origin"]) == (None, None)
